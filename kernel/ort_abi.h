// The part of onnxruntime's C ABI that is used here, declared anew: the runtime's wheels ship no header.
//
// OrtApi is a table of function pointers that only grows at its end, so a slot's number never changes. The
// declarations hold for onnxruntime 1.21 and later; newer slots are used where the runtime says it has them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

// Opaque to us.
struct OrtStatus;
struct OrtValue;
struct OrtAllocator;
struct OrtKernelInfo;
struct OrtKernelContext;
struct OrtSessionOptions;
struct OrtCustomOpDomain;
struct OrtTensorTypeAndShapeInfo;
struct OrtShapeInferContext;

using OrtSlot = void (*)();

// A table of as many slots as the runtime's version has.
struct OrtApi {
  OrtSlot slots[1];
};

struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)();
};

namespace glulam {

// Numbers of ONNXTensorElementDataType.
enum class Element : int32_t {
  kUndefined = 0,
  kFloat = 1,
  kUint8 = 2,
  kInt32 = 6,
  kInt64 = 7,
  kString = 8,
  kDouble = 11
};

template <typename T>
constexpr Element element_of();
template <>
constexpr Element element_of<float>() {
  return Element::kFloat;
}
template <>
constexpr Element element_of<double>() {
  return Element::kDouble;
}
template <>
constexpr Element element_of<uint8_t>() {
  return Element::kUint8;
}
template <>
constexpr Element element_of<int32_t>() {
  return Element::kInt32;
}
template <>
constexpr Element element_of<int64_t>() {
  return Element::kInt64;
}

// Numbers of OrtErrorCode.
enum class ErrorCode : int32_t { kFail = 1, kInvalidArgument = 2, kNotImplemented = 9 };

}  // namespace glulam

// An operator as the runtime sees it, in the form of version 17; the runtime keeps the pointer.
struct OrtCustomOp {
  uint32_t version;
  void* (*CreateKernel)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*);
  const char* (*GetName)(const OrtCustomOp*);
  const char* (*GetExecutionProviderType)(const OrtCustomOp*);
  glulam::Element (*GetInputType)(const OrtCustomOp*, size_t index);
  size_t (*GetInputTypeCount)(const OrtCustomOp*);
  glulam::Element (*GetOutputType)(const OrtCustomOp*, size_t index);
  size_t (*GetOutputTypeCount)(const OrtCustomOp*);
  void (*KernelCompute)(void* kernel, OrtKernelContext*);
  void (*KernelDestroy)(void* kernel);
  int32_t (*GetInputCharacteristic)(const OrtCustomOp*, size_t index);   // 0 required, 1 optional, 2 variadic
  int32_t (*GetOutputCharacteristic)(const OrtCustomOp*, size_t index);  // the same
  int32_t (*GetInputMemoryType)(const OrtCustomOp*, size_t index);       // 0 is the provider's own
  int (*GetVariadicInputMinArity)(const OrtCustomOp*);
  int (*GetVariadicInputHomogeneity)(const OrtCustomOp*);
  int (*GetVariadicOutputMinArity)(const OrtCustomOp*);
  int (*GetVariadicOutputHomogeneity)(const OrtCustomOp*);
  OrtStatus* (*CreateKernelV2)(const OrtCustomOp*, const OrtApi*, const OrtKernelInfo*, void** kernel);
  OrtStatus* (*KernelComputeV2)(void* kernel, OrtKernelContext*);
  OrtStatus* (*InferOutputShapeFn)(const OrtCustomOp*, OrtShapeInferContext*);
  int (*GetStartVersion)(const OrtCustomOp*);
  int (*GetEndVersion)(const OrtCustomOp*);
};

namespace glulam {

constexpr uint32_t kCustomOpVersion = 17;
constexpr int kOldestRuntime = 21;  // 1.21

static_assert(offsetof(OrtCustomOp, CreateKernel) == sizeof(void*), "the version takes one pointer's room");
static_assert(offsetof(OrtCustomOp, KernelCompute) == 8 * sizeof(void*), "OrtCustomOp, version 1");
static_assert(offsetof(OrtCustomOp, GetVariadicInputMinArity) == 13 * sizeof(void*), "OrtCustomOp, version 13");
static_assert(offsetof(OrtCustomOp, CreateKernelV2) == 17 * sizeof(void*), "OrtCustomOp, version 16");
static_assert(sizeof(OrtCustomOp) == 22 * sizeof(void*), "OrtCustomOp, version 17");

// The functions that are called, by their own types. Copied into every kernel, so that a call is one jump.
struct Api {
  OrtStatus* (*CreateStatus)(ErrorCode, const char* message);
  const char* (*GetErrorMessage)(const OrtStatus*);
  OrtStatus* (*CreateCustomOpDomain)(const char* name, OrtCustomOpDomain**);
  OrtStatus* (*CustomOpDomain_Add)(OrtCustomOpDomain*, const OrtCustomOp*);
  OrtStatus* (*AddCustomOpDomain)(OrtSessionOptions*, OrtCustomOpDomain*);
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void**);
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, Element*);
  OrtStatus* (*GetDimensionsCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetDimensions)(const OrtTensorTypeAndShapeInfo*, int64_t*, size_t);
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*, size_t*);
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo**);
  OrtStatus* (*AllocatorFree)(OrtAllocator*, void*);
  OrtStatus* (*GetAllocatorWithDefaultOptions)(OrtAllocator**);
  OrtStatus* (*KernelInfoGetAttribute_int64)(const OrtKernelInfo*, const char*, int64_t*);
  OrtStatus* (*KernelInfoGetAttribute_string)(const OrtKernelInfo*, const char*, char*, size_t*);
  OrtStatus* (*KernelContext_GetInput)(const OrtKernelContext*, size_t, const OrtValue**);
  OrtStatus* (*KernelContext_GetOutput)(OrtKernelContext*, size_t, const int64_t* shape, size_t rank, OrtValue**);
  void (*ReleaseStatus)(OrtStatus*);
  void (*ReleaseValue)(OrtValue*);
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);
  OrtStatus* (*KernelInfoGetAttributeArray_float)(const OrtKernelInfo*, const char*, float*, size_t*);
  OrtStatus* (*KernelInfoGetAttributeArray_int64)(const OrtKernelInfo*, const char*, int64_t*, size_t*);
  OrtStatus* (*KernelInfoGetAttribute_tensor)(const OrtKernelInfo*, const char*, OrtAllocator*, OrtValue**);
  OrtStatus* (*KernelContext_ParallelFor)(const OrtKernelContext*, void (*)(void*, size_t), size_t count,
                                          size_t n_batches, void* data);
  OrtStatus* (*FillStringTensorElement)(OrtValue*, const char*, size_t index);

  // Null where the runtime is too old for them: before 1.24 and before 1.25.
  OrtStatus* (*GetTensorElementTypeAndShapeDataReference)(const OrtValue*, Element*, const int64_t**, size_t* rank);
  OrtStatus* (*KernelInfoGetAttributeArray_string)(const OrtKernelInfo*, const char*, OrtAllocator*, char***, size_t*);
};

// Where each function stands in OrtApi.
enum Slot : size_t {
  kCreateStatus = 0,
  kGetErrorMessage = 2,
  kCreateCustomOpDomain = 26,
  kCustomOpDomain_Add = 27,
  kAddCustomOpDomain = 28,
  kGetTensorMutableData = 51,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorShapeElementCount = 64,
  kGetTensorTypeAndShape = 65,
  kAllocatorFree = 76,
  kGetAllocatorWithDefaultOptions = 78,
  kKernelInfoGetAttribute_int64 = 86,
  kKernelInfoGetAttribute_string = 87,
  kKernelContext_GetInput = 90,
  kKernelContext_GetOutput = 91,
  kReleaseStatus = 93,
  kReleaseValue = 96,
  kReleaseTensorTypeAndShapeInfo = 99,
  kFillStringTensorElement = 129,
  kKernelInfoGetAttributeArray_float = 162,
  kKernelInfoGetAttributeArray_int64 = 163,
  kKernelInfoGetAttribute_tensor = 236,
  kKernelContext_ParallelFor = 274,
  kGetTensorElementTypeAndShapeDataReference = 414,  // since 1.24
  kKernelInfoGetAttributeArray_string = 417,         // since 1.25
};

// The runtime's minor version: 31 for "1.31.1"; -1 for another major version or what is no version.
inline int runtime_minor(const char* version) {
  if (!version || std::strncmp(version, "1.", 2) != 0) return -1;
  char* end = nullptr;
  const long minor = std::strtol(version + 2, &end, 10);
  return end == version + 2 || minor < 0 || minor > 100000 ? -1 : static_cast<int>(minor);
}

// The functions of a runtime of version 1.`minor`, which is kOldestRuntime at least.
inline Api api_of(const OrtApi* table, int minor) {
  Api api{};
#define GLULAM_SLOT(name) api.name = reinterpret_cast<decltype(api.name)>(table->slots[k##name])
  GLULAM_SLOT(CreateStatus);
  GLULAM_SLOT(GetErrorMessage);
  GLULAM_SLOT(CreateCustomOpDomain);
  GLULAM_SLOT(CustomOpDomain_Add);
  GLULAM_SLOT(AddCustomOpDomain);
  GLULAM_SLOT(GetTensorMutableData);
  GLULAM_SLOT(GetTensorElementType);
  GLULAM_SLOT(GetDimensionsCount);
  GLULAM_SLOT(GetDimensions);
  GLULAM_SLOT(GetTensorShapeElementCount);
  GLULAM_SLOT(GetTensorTypeAndShape);
  GLULAM_SLOT(AllocatorFree);
  GLULAM_SLOT(GetAllocatorWithDefaultOptions);
  GLULAM_SLOT(KernelInfoGetAttribute_int64);
  GLULAM_SLOT(KernelInfoGetAttribute_string);
  GLULAM_SLOT(KernelContext_GetInput);
  GLULAM_SLOT(KernelContext_GetOutput);
  GLULAM_SLOT(ReleaseStatus);
  GLULAM_SLOT(ReleaseValue);
  GLULAM_SLOT(ReleaseTensorTypeAndShapeInfo);
  GLULAM_SLOT(KernelInfoGetAttributeArray_float);
  GLULAM_SLOT(KernelInfoGetAttributeArray_int64);
  GLULAM_SLOT(FillStringTensorElement);
  GLULAM_SLOT(KernelInfoGetAttribute_tensor);
  GLULAM_SLOT(KernelContext_ParallelFor);
  if (minor >= 24) GLULAM_SLOT(GetTensorElementTypeAndShapeDataReference);
  if (minor >= 25) GLULAM_SLOT(KernelInfoGetAttributeArray_string);
#undef GLULAM_SLOT
  return api;
}

// What a status says; it is released, also where memory ends meanwhile.
inline std::string take_message(const Api& api, OrtStatus* status) {
  const std::unique_ptr<OrtStatus, void (*)(OrtStatus*)> held(status, api.ReleaseStatus);
  return api.GetErrorMessage(status);
}

}  // namespace glulam
