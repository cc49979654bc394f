/* The few of onnxruntime's functions that predict.c calls.
 *
 * A program would include onnxruntime_c_api.h, which comes with onnxruntime's releases for C and C++; so does this one
 * where a compiler finds it. The Python wheel brings the library without the header. onnxruntime only ever appends to
 * its table of functions, so a place in it, once given, holds for every later release. */
#ifndef GLULAM_EXAMPLE_ORT_H
#define GLULAM_EXAMPLE_ORT_H

#if defined(__has_include)
#if __has_include(<onnxruntime_c_api.h>)
#include <onnxruntime_c_api.h>
#endif
#endif

#ifndef ORT_API_VERSION
#include <stddef.h>
#include <stdint.h>

#define ORT_API_VERSION 21 /* that of the oldest release that runs glulam's files */

typedef struct OrtStatus OrtStatus;
typedef struct OrtEnv OrtEnv;
typedef struct OrtSessionOptions OrtSessionOptions;
typedef struct OrtSession OrtSession;
typedef struct OrtRunOptions OrtRunOptions;
typedef struct OrtMemoryInfo OrtMemoryInfo;
typedef struct OrtValue OrtValue;
typedef struct OrtTensorTypeAndShapeInfo OrtTensorTypeAndShapeInfo;

enum { ORT_LOGGING_LEVEL_WARNING = 2 };
typedef enum {
  ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT = 1,
  ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE = 11
} ONNXTensorElementDataType;
enum { OrtDeviceAllocator = 0, OrtMemTypeDefault = 0 };

typedef void (*OrtUnused)(void);

/* The number behind a gap is the place of the function that follows it. */
typedef struct OrtApi {
  OrtUnused gap_2[2];
  const char* (*GetErrorMessage)(const OrtStatus*);
  OrtStatus* (*CreateEnv)(int log_level, const char* log_id, OrtEnv** out);
  OrtUnused gap_7[3];
  OrtStatus* (*CreateSession)(const OrtEnv*, const char* path, const OrtSessionOptions*, OrtSession** out);
  OrtUnused gap_9[1];
  OrtStatus* (*Run)(OrtSession*, const OrtRunOptions*, const char* const* input_names, const OrtValue* const* inputs,
                    size_t n_inputs, const char* const* output_names, size_t n_outputs, OrtValue** outputs);
  OrtStatus* (*CreateSessionOptions)(OrtSessionOptions** out);
  OrtUnused gap_24[13];
  OrtStatus* (*SetIntraOpNumThreads)(OrtSessionOptions*, int n_threads);
  OrtUnused gap_49[24];
  OrtStatus* (*CreateTensorWithDataAsOrtValue)(const OrtMemoryInfo*, void* data, size_t n_bytes, const int64_t* shape,
                                               size_t n_dimensions, ONNXTensorElementDataType, OrtValue** out);
  OrtUnused gap_51[1];
  OrtStatus* (*GetTensorMutableData)(OrtValue*, void** out);
  OrtUnused gap_60[8];
  OrtStatus* (*GetTensorElementType)(const OrtTensorTypeAndShapeInfo*, ONNXTensorElementDataType* out);
  OrtUnused gap_64[3];
  OrtStatus* (*GetTensorShapeElementCount)(const OrtTensorTypeAndShapeInfo*, size_t* out);
  OrtStatus* (*GetTensorTypeAndShape)(const OrtValue*, OrtTensorTypeAndShapeInfo** out);
  OrtUnused gap_69[3];
  OrtStatus* (*CreateCpuMemoryInfo)(int allocator, int memory_type, OrtMemoryInfo** out);
  OrtUnused gap_92[22];
  void (*ReleaseEnv)(OrtEnv*);
  void (*ReleaseStatus)(OrtStatus*);
  void (*ReleaseMemoryInfo)(OrtMemoryInfo*);
  void (*ReleaseSession)(OrtSession*);
  void (*ReleaseValue)(OrtValue*);
  OrtUnused gap_99[2];
  void (*ReleaseTensorTypeAndShapeInfo)(OrtTensorTypeAndShapeInfo*);
  void (*ReleaseSessionOptions)(OrtSessionOptions*);
  OrtUnused gap_228[127];
  OrtStatus* (*RegisterCustomOpsLibrary_V2)(OrtSessionOptions*, const char* path);
} OrtApi;

typedef struct OrtApiBase {
  const OrtApi* (*GetApi)(uint32_t version);
  const char* (*GetVersionString)(void);
} OrtApiBase;
#endif

#endif
