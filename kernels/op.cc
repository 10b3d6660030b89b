#include "op.h"

#include <cstdio>

namespace alignsae {
namespace {

void check(TF_Status* status, const char* name) {
  if (TF_GetCode(status) != TF_OK) std::fprintf(stderr, "%s: %s\n", name, TF_Message(status));
  TF_DeleteStatus(status);
}

}  // namespace

void registerOp(const Signature& signature, void* (*create)(TF_OpKernelConstruction*),
                void (*compute)(void*, TF_OpKernelContext*), void (*remove)(void*)) {
  TF_OpDefinitionBuilder* op = TF_NewOpDefinitionBuilder(signature.name);
  for (const char* input : signature.inputs) TF_OpDefinitionBuilderAddInput(op, input);
  for (const char* output : signature.outputs) TF_OpDefinitionBuilderAddOutput(op, output);
  for (const char* attribute : signature.attributes) TF_OpDefinitionBuilderAddAttr(op, attribute);
  TF_OpDefinitionBuilderSetIsStateful(op, signature.stateful);
  TF_OpDefinitionBuilderSetShapeInferenceFunction(op, [](TF_ShapeInferenceContext* context, TF_Status* status) {
    TF_ShapeInferenceContextSetUnknownShape(context, status);
  });
  TF_Status* status = TF_NewStatus();
  TF_RegisterOpDefinition(op, status);
  check(status, signature.name);
  TF_Status* registered = TF_NewStatus();
  TF_RegisterKernelBuilder(signature.name, TF_NewKernelBuilder(signature.name, "CPU", create, compute, remove), registered);
  check(registered, signature.name);
}

}  // namespace alignsae
