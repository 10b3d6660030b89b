// In the place of kernels/op.cc: makes the same ops known to TensorFlow, each of which hands its calls to the program
// that the variable KERNELS_COMMAND names (words on lines of their own), an emulated one perhaps.
#include <spawn.h>

#include <cstring>
#include <mutex>
#include <sstream>
#include <utility>

#include "../../kernels/op.h"
#include "wire.h"

// What registers the real ones, by another name.
#define registerOp registerWithTensorflow
#include "../../kernels/op.cc"
#undef registerOp

extern "C" {
int TF_NumInputs(TF_OpKernelContext* context);
extern char** environ;
}

namespace alignsae {
namespace {

constexpr size_t MOST = 64;

std::vector<Signature>& signatures() {
  static std::vector<Signature> all;
  return all;
}

Wire start() {
  const char* command = std::getenv("KERNELS_COMMAND");
  std::vector<std::string> words;
  std::istringstream lines(command ? command : "");
  for (std::string line; std::getline(lines, line);) words.push_back(line);
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(&word[0]);
  arguments.push_back(nullptr);
  int to[2], from[2];
  pid_t child;
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  if (words.empty() || pipe2(to, 02000000) || pipe2(from, 02000000) ||  // O_CLOEXEC
      posix_spawn_file_actions_adddup2(&actions, to[0], STDIN_FILENO) ||
      posix_spawn_file_actions_adddup2(&actions, from[1], STDOUT_FILENO) ||
      posix_spawnp(&child, arguments[0], &actions, nullptr, arguments.data(), environ)) {
    std::fprintf(stderr, "KERNELS_COMMAND does not start: %s\n", command ? command : "it is not set");
    std::_Exit(70);
  }
  close(to[0]);
  close(from[1]);
  return Wire(from[0], to[1]);
}

Reply ask(const Request& request) {
  static std::mutex* one = new std::mutex;
  static Wire* wire = new Wire(start());
  std::lock_guard<std::mutex> lock(*one);
  wire->put(request);
  Reply reply;
  reply.error = wire->text();
  reply.outputs = wire->values();
  reply.inputs = wire->values();
  return reply;
}

// "heads: int" → "heads".
std::string nameOf(const char* declared) { return std::string(declared, std::strchr(declared, ':')); }

bool isReal(const char* declared) { return std::strstr(declared, ": float") != nullptr; }

struct Remote {
  const Signature& signature;
  std::vector<Attribute> attributes;

  Remote(const Signature& of, const Attributes& given) : signature(of) {
    for (const char* declared : signature.attributes) {
      Attribute attribute{nameOf(declared)};
      if (isReal(declared)) attribute.real = given.real(attribute.name.c_str());
      else attribute.integer = given.integer(attribute.name.c_str());
      attributes.push_back(attribute);
    }
  }

  void run(TF_OpKernelContext* context) const {
    Call call(context);
    Request request{signature.name, attributes, {}};
    std::vector<Tensor> inputs;
    for (int i = 0; i < TF_NumInputs(context); i++) {
      inputs.push_back(call.input(i));
      Value value;
      for (int axis = 0; axis < inputs[i].rank(); axis++) value.sizes.push_back(inputs[i].size(axis));
      value.data.assign(inputs[i].floats(), inputs[i].floats() + inputs[i].count());
      request.inputs.push_back(std::move(value));
    }
    const Reply reply = ask(request);
    if (!reply.error.empty()) return call.refuse(reply.error);
    for (size_t i = 0; i < reply.outputs.size(); i++) copy(reply.outputs[i], output(context, int(i), reply.outputs[i]));
    for (size_t i = 0; i < reply.inputs.size(); i++) copy(reply.inputs[i], inputs[i]);
  }

  static Tensor output(TF_OpKernelContext* context, int index, const Value& value) {
    TF_Status* status = TF_NewStatus();
    TF_Tensor* tensor = TF_AllocateOutput(context, index, TF_FLOAT, value.sizes.data(), int(value.sizes.size()),
                                          value.data.size() * sizeof(float), status);
    TF_DeleteStatus(status);
    return Tensor(tensor);
  }

  static void copy(const Value& value, const Tensor& to) {
    if (!value.data.empty()) std::memcpy(to.floats(), value.data.data(), value.data.size() * sizeof(float));
  }
};

// TensorFlow's builders take plain functions, so each op needs one of its own that knows which it is.
template <size_t I>
void* createRemote(TF_OpKernelConstruction* construction) {
  return new Remote(signatures()[I], Attributes(construction));
}
using Create = void* (*)(TF_OpKernelConstruction*);
template <size_t... I>
Create creator(size_t index, std::index_sequence<I...>) {
  static const Create all[] = {createRemote<I>...};
  return all[index];
}

}  // namespace

void registerOp(const Signature& signature, void* (*)(TF_OpKernelConstruction*), void (*)(void*, TF_OpKernelContext*),
                void (*)(void*)) {
  signatures().reserve(MOST);  // Remotes refer to what is in it.
  if (signatures().size() == MOST) std::abort();
  signatures().push_back(signature);
  registerWithTensorflow(
      signature, creator(signatures().size() - 1, std::make_index_sequence<MOST>{}),
      [](void* kernel, TF_OpKernelContext* context) { static_cast<Remote*>(kernel)->run(context); },
      [](void* kernel) { delete static_cast<Remote*>(kernel); });
}

}  // namespace alignsae
