// What every operator here shares: its face to the runtime, and what a call reads and writes.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>
#include <vector>

#include "attributes.h"
#include "forest.h"
#include "ort_abi.h"

namespace glulam {

// A call that cannot be answered; the message says why.
class Failed : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Rows as they came in: a matrix, or one row as a vector.
struct Rows {
  const void* data;
  int64_t n_rows;
  int64_t n_columns;
};

// One call of a kernel. Costs five calls of the runtime where it is 1.24 or newer, and allocates nothing.
class Call final : public Parallel {
 public:
  Call(const Api& api, OrtKernelContext* context) : api_(api), context_(context) {}

  // Throws Failed where the input is no matrix (or vector of one column), or has fewer than n_columns columns.
  Rows rows(size_t input, int64_t n_columns) const;
  // Memory for an output of this shape; null where nobody asked for it.
  template <typename T, size_t rank>
  T* output(size_t index, const std::array<int64_t, rank>& shape) const {
    OrtValue* value = output_value(index, shape.data(), rank);
    void* data = nullptr;
    if (value) check(api_.GetTensorMutableData(value, &data));
    return static_cast<T*>(data);
  }
  OrtValue* output_value(size_t index, const int64_t* shape, size_t rank) const;
  // Writes one text of an output of texts.
  void write(OrtValue* texts, size_t index, const std::string& text) const {
    check(api_.FillStringTensorElement(texts, text.c_str(), index));
  }

  void run(void (*task)(void* data, size_t index), size_t count, void* data) override;

  // Throws Failed with the status's message, and releases it.
  void check(OrtStatus* status) const {
    if (status) fail(status);
  }

 private:
  [[noreturn]] void fail(OrtStatus* status) const;

  const Api& api_;
  OrtKernelContext* context_;
};

// How many kernels were created on the calling thread.
extern thread_local int64_t kernels_created;

// Which operators the sessions that are made on the calling thread find; see glulam_show.
enum class Show : int { kNone = -1, kRegistered = 0, kOffered = 1, kTexts = 2 };
extern thread_local Show shown;

// The name that an operator gives a session that asks: its own, or where it is not to be found one that no node has.
class Name {
 public:
  explicit Name(const std::string& name) : name_(name), hidden_(name + ".hidden") {}
  const char* now() const { return shown >= Show::kOffered || shown == found_when_ ? name_.c_str() : hidden_.c_str(); }

 private:
  std::string name_, hidden_;
  Show found_when_ = shown >= Show::kOffered ? Show::kOffered : Show::kRegistered;
};

// The status that tells of the exception that is being handled: "glulam: ", the operator's name and its message.
OrtStatus* status_of_exception(const Api& api, const char* name);

// The runtime's view of class Kernel, which has:
//   static constexpr const char* kName;                    the operator's name
//   static constexpr int kSince;                           the version of its domain that it is there from
//   static constexpr std::array<Element, n> kInputs, kOutputs;
//   Kernel(const Attributes&);                             throws Refused for a model that it does not take
//   void compute(Call&) const;                             throws Failed
template <typename Kernel>
struct Operator : OrtCustomOp {
  explicit Operator(const Api& api) : OrtCustomOp{}, api(api) {
    version = kCustomOpVersion;
    GetName = [](const OrtCustomOp* op) { return static_cast<const Operator*>(op)->name.now(); };
    GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };  // the CPU's
    GetInputType = [](const OrtCustomOp*, size_t i) { return Kernel::kInputs[i]; };
    GetInputTypeCount = [](const OrtCustomOp*) { return Kernel::kInputs.size(); };
    GetOutputType = [](const OrtCustomOp*, size_t i) {
      // Whole numbers are labels. The types cannot hang on the node's attributes, so whoever makes the session says.
      const Element type = Kernel::kOutputs[i];
      return type == Element::kInt64 && shown == Show::kTexts ? Element::kString : type;
    };
    GetOutputTypeCount = [](const OrtCustomOp*) { return Kernel::kOutputs.size(); };
    GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return int32_t{0}; };
    GetOutputCharacteristic = [](const OrtCustomOp*, size_t) { return int32_t{0}; };
    GetInputMemoryType = [](const OrtCustomOp*, size_t) { return int32_t{0}; };
    GetVariadicInputMinArity = [](const OrtCustomOp*) { return 0; };
    GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 0; };
    GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 0; };
    GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 0; };
    GetStartVersion = [](const OrtCustomOp*) { return Kernel::kSince; };
    GetEndVersion = [](const OrtCustomOp*) { return 1000; };  // until further notice
    CreateKernelV2 = create;
    KernelComputeV2 = compute;
    KernelDestroy = [](void* kernel) { delete static_cast<Held*>(kernel); };
    InferOutputShapeFn = nullptr;
    CreateKernel = nullptr;   // the runtime asks for the second versions,
    KernelCompute = nullptr;  // whose errors need no exceptions
  }

  const Api api;
  const Name name{Kernel::kName};

 private:
  struct Held {
    const Api& api;
    Kernel kernel;
  };

  static OrtStatus* create(const OrtCustomOp* self, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
    const Api& api = static_cast<const Operator*>(self)->api;
    try {
      *kernel = new Held{api, Kernel(Attributes(api, info))};
      ++kernels_created;
      return nullptr;
    } catch (...) {
      return status_of_exception(api, Kernel::kName);
    }
  }

  static OrtStatus* compute(void* kernel, OrtKernelContext* context) {
    const Held* held = static_cast<const Held*>(kernel);
    try {
      Call call(held->api, context);
      held->kernel.compute(call);
      return nullptr;
    } catch (...) {
      return status_of_exception(held->api, Kernel::kName);
    }
  }
};

// The operators of one domain. They live as long as the process: sessions keep pointers to them.
using MakeOperators = std::vector<const OrtCustomOp*> (*)(const Api& api);

// The operators of ai.onnx.ml that are served here instead of by the runtime.
std::vector<const OrtCustomOp*> standard_operators(const Api& api);

// Those of them that texts among the attributes tell apart, for a runtime that can read these.
void add_operators_before_5(const Api& api, std::vector<const OrtCustomOp*>& operators);

}  // namespace glulam
