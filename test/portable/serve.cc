// A program that has the kernels but no TensorFlow: runs the calls that come through its standard input. It stands for
// as much of TensorFlow's C interface as the kernels use.
#include <cstdio>
#include <map>
#include <memory>

#include "../../kernels/op.h"
#include "wire.h"

struct TSL_Status {
  TSL_Code code = TSL_OK;
  std::string message;
};
struct TF_Tensor {
  alignsae::Value* value;
};
struct TF_OpKernelConstruction {
  const std::vector<alignsae::Attribute>* attributes;
};
struct TF_OpKernelContext {
  std::vector<alignsae::Value> inputs;
  std::map<int, alignsae::Value> outputs;
  std::string error;
};

extern "C" {
TF_Status* TF_NewStatus() { return new TF_Status; }
void TF_DeleteStatus(TF_Status* status) { delete status; }
void TF_SetStatus(TF_Status* status, TF_Code code, const char* message) {
  status->code = code;
  status->message = message;
}
int TF_NumDims(const TF_Tensor* tensor) { return int(tensor->value->sizes.size()); }
int64_t TF_Dim(const TF_Tensor* tensor, int axis) { return tensor->value->sizes[axis]; }
int64_t TF_TensorElementCount(const TF_Tensor* tensor) { return tensor->value->count(); }
void* TF_TensorData(const TF_Tensor* tensor) { return tensor->value->data.data(); }
void TF_DeleteTensor(TF_Tensor* tensor) { delete tensor; }

void TF_GetInput(TF_OpKernelContext* context, int index, TF_Tensor** tensor, TF_Status*) {
  *tensor = new TF_Tensor{&context->inputs.at(index)};
}
TF_Tensor* TF_AllocateOutput(TF_OpKernelContext* context, int index, TF_DataType, const int64_t* sizes, int rank,
                             size_t bytes, TF_Status*) {
  alignsae::Value& value = context->outputs[index];
  value.sizes.assign(sizes, sizes + rank);
  // What a kernel leaves unwritten must not pass for 0.
  value.data.assign(bytes / sizeof(float), 1e30f);
  return new TF_Tensor{&value};
}
void TF_OpKernelContext_Failure(TF_OpKernelContext* context, TF_Status* status) { context->error = status->message; }

static const alignsae::Attribute& find(TF_OpKernelConstruction* construction, const char* name) {
  for (const alignsae::Attribute& each : *construction->attributes)
    if (each.name == name) return each;
  std::fprintf(stderr, "no attribute %s was sent\n", name);
  std::_Exit(70);
}
void TF_OpKernelConstruction_GetAttrInt64(TF_OpKernelConstruction* construction, const char* name, int64_t* value,
                                          TF_Status*) {
  *value = find(construction, name).integer;
}
void TF_OpKernelConstruction_GetAttrFloat(TF_OpKernelConstruction* construction, const char* name, float* value,
                                          TF_Status*) {
  *value = find(construction, name).real;
}
}

namespace alignsae {
namespace {

struct Op {
  void* (*create)(TF_OpKernelConstruction*);
  void (*compute)(void*, TF_OpKernelContext*);
  void (*remove)(void*);
  bool stateful;
};

std::map<std::string, Op>& ops() {
  static std::map<std::string, Op> all;
  return all;
}

Reply run(Request& request) {
  const auto found = ops().find(request.op);
  if (found == ops().end()) return {"no op " + request.op, {}, {}};
  const Op& op = found->second;
  TF_OpKernelConstruction construction{&request.attributes};
  TF_OpKernelContext context{std::move(request.inputs), {}, ""};
  void* kernel = op.create(&construction);
  op.compute(kernel, &context);
  op.remove(kernel);
  Reply reply{context.error, {}, {}};
  for (auto& [index, value] : context.outputs) reply.outputs.push_back(std::move(value));
  if (op.stateful) reply.inputs = std::move(context.inputs);
  return reply;
}

}  // namespace

void registerOp(const Signature& signature, void* (*create)(TF_OpKernelConstruction*),
                void (*compute)(void*, TF_OpKernelContext*), void (*remove)(void*)) {
  ops()[signature.name] = {create, compute, remove, signature.stateful};
}

}  // namespace alignsae

int main() {
  alignsae::Wire wire(STDIN_FILENO, STDOUT_FILENO);
  for (alignsae::Request request; wire.next(request);) {
    const alignsae::Reply reply = alignsae::run(request);
    wire.put(reply.error);
    wire.put(reply.outputs);
    wire.put(reply.inputs);
  }
  // Without destructors: the pool's threads wait on what they would free.
  std::_Exit(0);
}
