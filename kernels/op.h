// Ops of ours in TensorFlow, through its C interface, which stays the same from version to version.
#pragma once
#include <cstdint>
#include <initializer_list>
#include <string>
#include <vector>

#include "tensorflow/c/ops.h"
#include "tensorflow/c/tf_datatype.h"
#include "tensorflow/c/tf_status.h"
#include "tensorflow/c/tf_tensor.h"

// From TensorFlow's tensorflow/c/kernels.h, which includes headers that its wheels keep elsewhere.
extern "C" {
typedef struct TF_KernelBuilder TF_KernelBuilder;
typedef struct TF_OpKernelConstruction TF_OpKernelConstruction;
typedef struct TF_OpKernelContext TF_OpKernelContext;
TF_KernelBuilder* TF_NewKernelBuilder(const char* op_name, const char* device_name,
                                      void* (*create_func)(TF_OpKernelConstruction*),
                                      void (*compute_func)(void*, TF_OpKernelContext*), void (*delete_func)(void*));
void TF_RegisterKernelBuilder(const char* kernel_name, TF_KernelBuilder* builder, TF_Status* status);
void TF_GetInput(TF_OpKernelContext* ctx, int i, TF_Tensor** tensor, TF_Status* status);
TF_Tensor* TF_AllocateOutput(TF_OpKernelContext* context, int index, TF_DataType dtype, const int64_t* dims, int num_dims,
                             size_t len, TF_Status* status);
void TF_OpKernelContext_Failure(TF_OpKernelContext* ctx, TF_Status* status);
void TF_OpKernelConstruction_GetAttrInt64(TF_OpKernelConstruction* ctx, const char* attr_name, int64_t* val,
                                          TF_Status* status);
void TF_OpKernelConstruction_GetAttrFloat(TF_OpKernelConstruction* ctx, const char* attr_name, float* val,
                                          TF_Status* status);
}

namespace alignsae {

// A tensor that an op was given or has made; whoever holds it keeps its memory alive.
class Tensor {
 public:
  explicit Tensor(TF_Tensor* tensor) : tensor_(tensor), data_(tensor ? TF_TensorData(tensor) : nullptr) {}
  Tensor(Tensor&& other) noexcept : tensor_(other.tensor_), data_(other.data_) { other.tensor_ = nullptr; }
  Tensor(const Tensor&) = delete;
  ~Tensor() {
    if (tensor_) TF_DeleteTensor(tensor_);
  }
  int rank() const { return TF_NumDims(tensor_); }
  int64_t size(int axis) const { return TF_Dim(tensor_, axis); }
  int64_t count() const { return TF_TensorElementCount(tensor_); }
  float* floats() const { return static_cast<float*>(data_); }
  int32_t* ints() const { return static_cast<int32_t*>(data_); }

 private:
  TF_Tensor* tensor_;
  // Asked for once, for TensorFlow's answer costs more than to use one number of it.
  void* data_;
};

// One run of an op.
class Call {
 public:
  explicit Call(TF_OpKernelContext* context) : context_(context), status_(TF_NewStatus()) {}
  ~Call() { TF_DeleteStatus(status_); }
  Tensor input(int index) {
    TF_Tensor* tensor = nullptr;
    TF_GetInput(context_, index, &tensor, status_);
    return Tensor(tensor);
  }
  Tensor output(int index, std::initializer_list<int64_t> sizes) { return allocate(index, sizes, TF_FLOAT); }
  Tensor outputLike(int index, const Tensor& other) {
    std::vector<int64_t> sizes(other.rank());
    for (int axis = 0; axis < other.rank(); axis++) sizes[axis] = other.size(axis);
    return Tensor(TF_AllocateOutput(context_, index, TF_FLOAT, sizes.data(), other.rank(), 4 * other.count(), status_));
  }
  Tensor intOutput(int index, std::initializer_list<int64_t> sizes) { return allocate(index, sizes, TF_INT32); }
  // Ends the run with an error; the caller returns.
  void refuse(const std::string& message) {
    TF_SetStatus(status_, TF_INVALID_ARGUMENT, message.c_str());
    TF_OpKernelContext_Failure(context_, status_);
  }

 private:
  // Of numbers of four bytes.
  Tensor allocate(int index, std::initializer_list<int64_t> sizes, TF_DataType type) {
    size_t bytes = 4;
    for (int64_t size : sizes) bytes *= size;
    return Tensor(TF_AllocateOutput(context_, index, type, sizes.begin(), int(sizes.size()), bytes, status_));
  }

  TF_OpKernelContext* context_;
  TF_Status* status_;
};

// The attributes of a node.
class Attributes {
 public:
  explicit Attributes(TF_OpKernelConstruction* construction) : construction_(construction) {}
  int64_t integer(const char* name) const {
    TF_Status* status = TF_NewStatus();
    int64_t value = 0;
    TF_OpKernelConstruction_GetAttrInt64(construction_, name, &value, status);
    TF_DeleteStatus(status);
    return value;
  }
  float real(const char* name) const {
    TF_Status* status = TF_NewStatus();
    float value = 0;
    TF_OpKernelConstruction_GetAttrFloat(construction_, name, &value, status);
    TF_DeleteStatus(status);
    return value;
  }

 private:
  TF_OpKernelConstruction* construction_;
};

struct Signature {
  const char* name;
  // As in "x: float".
  std::vector<const char*> inputs, outputs, attributes;
  // Whether a run does more than to make its outputs, so that none may be left out or shared.
  bool stateful;
};

// Makes an op known to TensorFlow, for CPUs.
void registerOp(const Signature& signature, void* (*create)(TF_OpKernelConstruction*),
                void (*compute)(void*, TF_OpKernelContext*), void (*remove)(void*));

// `Kernel` is made once a node from its `Attributes` and called with every run's `Call`.
template <class Kernel>
struct Registered {
  explicit Registered(const Signature& signature) {
    registerOp(
        signature, [](TF_OpKernelConstruction* c) -> void* { return new Kernel(Attributes(c)); },
        [](void* kernel, TF_OpKernelContext* context) {
          Call call(context);
          (*static_cast<Kernel*>(kernel))(call);
        },
        [](void* kernel) { delete static_cast<Kernel*>(kernel); });
  }
};

}  // namespace alignsae
