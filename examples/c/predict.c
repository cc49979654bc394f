/* One row through an exported file, from C: prints one of its outputs, a number a line.
 *
 *   cc -std=c11 predict.c -o predict -ldl
 *   ./predict ./libonnxruntime.so ensemble.onnx -              probabilities 0.1 0.2 nan
 *   ./predict ./libonnxruntime.so ensemble.onnx ./libglulam.so probabilities 0.1 0.2 nan
 *
 * The third argument is glulam's tree kernel, `-` for onnxruntime's own. Then come the output (`probabilities`,
 * `votes`, or `value` for regression) and the row, a value a feature. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ort.h"

static const OrtApi* ort;

/* Ends the program where a call failed. */
static void must(OrtStatus* status) {
  if (status == NULL) return;
  fprintf(stderr, "predict: %s\n", ort->GetErrorMessage(status));
  exit(1);
}

/* onnxruntime has one exported function, from which all the others come. */
static void load_onnxruntime(const char* path) {
  const OrtApiBase* (*get_api_base)(void) = NULL;
  void* library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library != NULL) *(void**)&get_api_base = dlsym(library, "OrtGetApiBase");
  if (get_api_base == NULL) {
    fprintf(stderr, "predict: %s is not onnxruntime: %s\n", path, dlerror());
    exit(1);
  }
  ort = get_api_base()->GetApi(ORT_API_VERSION);
  if (ort == NULL) {
    fprintf(stderr, "predict: onnxruntime %s is too old\n", get_api_base()->GetVersionString());
    exit(1);
  }
}

/* One thread: for single rows, handing work over costs more than the work. */
static OrtStatus* open_session(const OrtEnv* env, const char* model, const char* kernel, OrtSession** session) {
  OrtSessionOptions* options;
  must(ort->CreateSessionOptions(&options));
  must(ort->SetIntraOpNumThreads(options, 1));
  if (kernel != NULL) must(ort->RegisterCustomOpsLibrary_V2(options, kernel));
  OrtStatus* status = ort->CreateSession(env, model, options, session);
  ort->ReleaseSessionOptions(options);
  return status;
}

/* How many of the file's nodes the tree kernel has taken: it counts those made on this thread. */
static long long count_kernels(const char* path) {
  int64_t (*glulam_kernels)(void) = NULL;
  void* library = dlopen(path, RTLD_NOW | RTLD_NOLOAD); /* the one that onnxruntime has loaded */
  if (library != NULL) *(void**)&glulam_kernels = dlsym(library, "glulam_kernels");
  return glulam_kernels == NULL ? 0 : (long long)glulam_kernels();
}

static OrtSession* open_model(const OrtEnv* env, const char* model, const char* kernel) {
  OrtSession* session = NULL;
  OrtStatus* status = open_session(env, model, kernel, &session);
  if (status != NULL && kernel != NULL) {
    /* A model that the tree kernel does not take is onnxruntime's to run. */
    fprintf(stderr, "predict: without the tree kernel: %s\n", ort->GetErrorMessage(status));
    ort->ReleaseStatus(status);
    status = open_session(env, model, NULL, &session);
  } else if (status == NULL && kernel != NULL) {
    fprintf(stderr, "predict: nodes run by the tree kernel: %lld\n", count_kernels(kernel));
  }
  must(status);
  return session;
}

/* Runs the row [1, n_features] and prints the output of that name. */
static void print_output(OrtSession* session, const OrtValue* row, const char* name) {
  const char* const inputs[] = {"features"};
  OrtValue* answer = NULL;
  must(ort->Run(session, NULL, inputs, &row, 1, &name, 1, &answer));
  OrtTensorTypeAndShapeInfo* info;
  ONNXTensorElementDataType type;
  size_t count;
  void* data;
  must(ort->GetTensorTypeAndShape(answer, &info));
  must(ort->GetTensorElementType(info, &type));
  must(ort->GetTensorShapeElementCount(info, &count));
  must(ort->GetTensorMutableData(answer, &data));
  for (size_t i = 0; i < count; ++i) {
    if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT) {
      printf("%.9g\n", ((const float*)data)[i]);
    } else if (type == ONNX_TENSOR_ELEMENT_DATA_TYPE_DOUBLE) {
      printf("%.17g\n", ((const double*)data)[i]);
    } else {
      fprintf(stderr, "predict: output '%s': expected float32 or float64, got element type %d\n", name, (int)type);
      exit(1);
    }
  }
  ort->ReleaseTensorTypeAndShapeInfo(info);
  ort->ReleaseValue(answer);
}

int main(int argc, char** argv) {
  if (argc < 6) {
    fprintf(stderr, "usage: %s LIBONNXRUNTIME MODEL KERNEL|- OUTPUT VALUE...\n", argv[0]);
    return 2;
  }
  const char* kernel = strcmp(argv[3], "-") == 0 ? NULL : argv[3];
  int64_t shape[] = {1, argc - 5};
  float* features = malloc((size_t)shape[1] * sizeof *features);
  if (features == NULL) return 1;
  for (int i = 5; i < argc; ++i) {
    char* end;
    features[i - 5] = strtof(argv[i], &end);
    if (end == argv[i] || *end != '\0') {
      fprintf(stderr, "predict: value %d: expected a number, got '%s'\n", i - 4, argv[i]);
      return 2;
    }
  }

  load_onnxruntime(argv[1]);
  OrtEnv* env;
  OrtMemoryInfo* memory;
  OrtValue* row;
  must(ort->CreateEnv(ORT_LOGGING_LEVEL_WARNING, "predict", &env));
  OrtSession* session = open_model(env, argv[2], kernel);
  must(ort->CreateCpuMemoryInfo(OrtDeviceAllocator, OrtMemTypeDefault, &memory));
  must(ort->CreateTensorWithDataAsOrtValue(memory, features, (size_t)shape[1] * sizeof *features, shape, 2,
                                           ONNX_TENSOR_ELEMENT_DATA_TYPE_FLOAT, &row));

  print_output(session, row, argv[4]);

  ort->ReleaseValue(row);
  ort->ReleaseMemoryInfo(memory);
  ort->ReleaseSession(session);
  ort->ReleaseEnv(env);
  free(features);
  return 0;
}
