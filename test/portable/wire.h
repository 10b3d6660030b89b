// How an op's call travels between the process that has TensorFlow and the one that has the kernels. Both are
// little-endian; numbers go as they are in memory.
#pragma once
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

namespace alignsae {

// A tensor of 4-byte numbers.
struct Value {
  std::vector<int64_t> sizes;
  std::vector<float> data;
  int64_t count() const {
    int64_t product = 1;
    for (int64_t size : sizes) product *= size;
    return product;
  }
};

struct Attribute {
  std::string name;
  int64_t integer = 0;
  float real = 0;
};

struct Request {
  std::string op;
  std::vector<Attribute> attributes;
  std::vector<Value> inputs;
};

// What came of it: an error, or outputs, and of an op that overwrites its inputs these too.
struct Reply {
  std::string error;
  std::vector<Value> outputs, inputs;
};

// Whole blocks through a pair of pipes.
class Wire {
 public:
  Wire(int from, int to) : from_(from), to_(to) {}

  // False where the other end is gone before anything came.
  bool read(void* data, size_t bytes) {
    size_t done = 0;
    while (done < bytes) {
      const ssize_t n = ::read(from_, static_cast<char*>(data) + done, bytes - done);
      if (n <= 0) return false;
      done += n;
    }
    return true;
  }
  void write(const void* data, size_t bytes) {
    for (size_t done = 0; done < bytes;) {
      const ssize_t n = ::write(to_, static_cast<const char*>(data) + done, bytes - done);
      if (n <= 0) fail("the other end of the wire is gone");
      done += n;
    }
  }

  template <class T>
  void put(T number) {
    write(&number, sizeof number);
  }
  template <class T>
  T get() {
    T number;
    if (!read(&number, sizeof number)) fail("the other end of the wire is gone");
    return number;
  }
  void put(const std::string& text) {
    put(int64_t(text.size()));
    write(text.data(), text.size());
  }
  std::string text() {
    std::string text(get<int64_t>(), 0);
    if (!text.empty() && !read(&text[0], text.size())) fail("a text broke off");
    return text;
  }
  void put(const std::vector<Value>& values) {
    put(int64_t(values.size()));
    for (const Value& value : values) {
      put(int64_t(value.sizes.size()));
      for (int64_t size : value.sizes) put(size);
      write(value.data.data(), value.data.size() * sizeof(float));
    }
  }
  std::vector<Value> values() {
    std::vector<Value> values(get<int64_t>());
    for (Value& value : values) {
      value.sizes.resize(get<int64_t>());
      for (int64_t& size : value.sizes) size = get<int64_t>();
      value.data.resize(value.count());
      if (!value.data.empty() && !read(value.data.data(), value.data.size() * sizeof(float))) fail("a tensor broke off");
    }
    return values;
  }

  void put(const Request& request) {
    put(request.op);
    put(int64_t(request.attributes.size()));
    for (const Attribute& attribute : request.attributes) {
      put(attribute.name);
      put(attribute.integer);
      put(attribute.real);
    }
    put(request.inputs);
  }
  // False where there is no further request.
  bool next(Request& request) {
    int64_t length;
    if (!read(&length, sizeof length)) return false;
    request.op.assign(length, 0);
    if (!read(&request.op[0], length)) return false;
    request.attributes.resize(get<int64_t>());
    for (Attribute& attribute : request.attributes) {
      attribute.name = text();
      attribute.integer = get<int64_t>();
      attribute.real = get<float>();
    }
    request.inputs = values();
    return true;
  }

 private:
  [[noreturn]] static void fail(const char* what) {
    std::fprintf(stderr, "kernels elsewhere: %s\n", what);
    std::_Exit(70);
  }
  int from_, to_;
};

}  // namespace alignsae
