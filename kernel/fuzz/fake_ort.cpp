#include "fake_ort.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <numeric>
#include <thread>

#include "fence.h"
#include "memory.h"

using glulam::fuzz::Attribute;
using glulam::fuzz::Attributes;
using glulam::fuzz::Tensor;

extern "C" OrtStatus* RegisterCustomOps(OrtSessionOptions*, const OrtApiBase*);

struct OrtStatus {
  std::string message;
};
struct OrtValue {
  Tensor tensor;
};
struct OrtAllocator {};
struct OrtKernelInfo {
  const Attributes* attributes;
};
struct OrtCustomOpDomain {
  std::string name;
  std::vector<const OrtCustomOp*> ops;
};
struct OrtSessionOptions {
  std::vector<OrtCustomOpDomain*> domains;
};
struct OrtTensorTypeAndShapeInfo {
  glulam::Element type;
  std::vector<int64_t> shape;
};
struct OrtKernelContext {
  OrtValue input;
  std::vector<std::unique_ptr<OrtValue>> outputs;
  glulam::fuzz::Threads threads;
};

namespace glulam::fuzz {
namespace {

constexpr int32_t kVariadic = 2;

int runtime_version = 0;
std::atomic<int64_t> handed_out{0};
OrtAllocator allocator;
// Never destroyed, as what hangs on it: the library's operators stay until the process ends.
OrtSessionOptions& options = *new OrtSessionOptions;

OrtStatus* status(const std::string& message) {
  const Spared spared;
  ++handed_out;
  return new OrtStatus{message};
}

[[noreturn]] void misuse(const char* what) {
  std::fprintf(stderr, "misuse of the API: %s\n", what);
  std::abort();
}

OrtStatus* create_status(ErrorCode, const char* message) {
  if (!message) misuse("CreateStatus without a message");
  return status(message);
}

const char* get_error_message(const OrtStatus* of) { return of->message.c_str(); }

void release_status(OrtStatus* given) {
  if (!given) return;
  --handed_out;
  delete given;
}

OrtStatus* create_domain(const char* name, OrtCustomOpDomain** out) {
  *out = new OrtCustomOpDomain{name, {}};
  return nullptr;
}

OrtStatus* domain_add(OrtCustomOpDomain* domain, const OrtCustomOp* op) {
  domain->ops.push_back(op);
  return nullptr;
}

OrtStatus* add_domain(OrtSessionOptions* to, OrtCustomOpDomain* domain) {
  to->domains.push_back(domain);
  return nullptr;
}

OrtStatus* tensor_data(OrtValue* value, void** out) {
  if (fails_now()) return status("GetTensorMutableData was made to fail");
  *out = value->tensor.bytes.data();
  return nullptr;
}

OrtStatus* type_and_shape(const OrtValue* value, OrtTensorTypeAndShapeInfo** out) {
  if (fails_now()) return status("GetTensorTypeAndShape was made to fail");
  const Spared spared;
  ++handed_out;
  *out = new OrtTensorTypeAndShapeInfo{static_cast<Element>(value->tensor.type), value->tensor.shape};
  return nullptr;
}

void release_info(OrtTensorTypeAndShapeInfo* info) {
  if (!info) return;
  --handed_out;
  delete info;
}

OrtStatus* element_type(const OrtTensorTypeAndShapeInfo* info, Element* out) {
  *out = info->type;
  return nullptr;
}

OrtStatus* n_dimensions(const OrtTensorTypeAndShapeInfo* info, size_t* out) {
  *out = info->shape.size();
  return nullptr;
}

OrtStatus* dimensions(const OrtTensorTypeAndShapeInfo* info, int64_t* out, size_t count) {
  for (size_t i = 0; i < count && i < info->shape.size(); ++i) out[i] = info->shape[i];
  return nullptr;
}

size_t elements(const std::vector<int64_t>& shape) {
  return std::accumulate(shape.begin(), shape.end(), size_t{1},
                         [](size_t product, int64_t size) { return product * static_cast<size_t>(size); });
}

OrtStatus* element_count(const OrtTensorTypeAndShapeInfo* info, size_t* out) {
  *out = elements(info->shape);
  return nullptr;
}

OrtStatus* type_and_shape_reference(const OrtValue* value, Element* type, const int64_t** shape, size_t* rank) {
  if (fails_now()) return status("GetTensorElementTypeAndShapeDataReference was made to fail");
  *type = static_cast<Element>(value->tensor.type);
  *shape = value->tensor.shape.data();
  *rank = value->tensor.shape.size();
  return nullptr;
}

void release_value(OrtValue* value) {
  if (!value) return;
  --handed_out;
  delete value;
}

OrtStatus* get_allocator(OrtAllocator** out) {
  *out = &allocator;
  return nullptr;
}

void* block(size_t bytes) {
  ++handed_out;
  return std::malloc(bytes);
}

OrtStatus* allocator_free(OrtAllocator* of, void* given) {
  if (of != &allocator) misuse("AllocatorFree with another allocator");
  if (given) --handed_out;
  std::free(given);
  return nullptr;
}

// The attribute of that name and kind; without one, null and the status that says so.
template <typename Kind>
const Kind* attribute(const OrtKernelInfo* info, const char* name, OrtStatus** problem) {
  const bool fails = fails_now();
  const Spared spared;
  const auto found = info->attributes->find(name);
  *problem = nullptr;
  if (fails)
    *problem = status("an attribute was made to fail");
  else if (found == info->attributes->end())
    *problem = status("No attribute with name:'" + std::string(name) + "'is defined.");
  else if (const Kind* kind = std::get_if<Kind>(&found->second))
    return kind;
  else
    *problem = status("Requested attribute: " + std::string(name) + " is expected to have another type");
  return nullptr;
}

template <typename Kind>
OrtStatus* get_one(const OrtKernelInfo* info, const char* name, Kind* out) {
  OrtStatus* problem;
  if (const Kind* found = attribute<Kind>(info, name, &problem)) *out = *found;
  return problem;
}

// Asked with null for their number first, as all functions of the API that copy out.
template <typename Value>
OrtStatus* copy_out(const Value* from, size_t count, Value* out, size_t* size) {
  if (!out) {
    *size = count;
    return nullptr;
  }
  if (*size < count) {
    *size = count;
    return status("Result buffer is not large enough");
  }
  for (size_t i = 0; i < count; ++i) out[i] = from[i];
  *size = count;
  return nullptr;
}

OrtStatus* get_string(const OrtKernelInfo* info, const char* name, char* out, size_t* size) {
  OrtStatus* problem;
  const auto* found = attribute<std::string>(info, name, &problem);
  return found ? copy_out(found->c_str(), found->size() + 1, out, size) : problem;
}

template <typename Value>
OrtStatus* get_array(const OrtKernelInfo* info, const char* name, Value* out, size_t* size) {
  OrtStatus* problem;
  const auto* found = attribute<std::vector<Value>>(info, name, &problem);
  return found ? copy_out(found->data(), found->size(), out, size) : problem;
}

OrtStatus* get_strings(const OrtKernelInfo* info, const char* name, OrtAllocator* with, char*** out, size_t* size) {
  if (with != &allocator) misuse("strings into another allocator");
  OrtStatus* problem;
  const auto* found = attribute<std::vector<std::string>>(info, name, &problem);
  if (!found) return problem;
  *size = found->size();
  *out = nullptr;
  if (found->empty()) return nullptr;
  *out = static_cast<char**>(block(found->size() * sizeof(char*)));
  for (size_t i = 0; i < found->size(); ++i) {
    const std::string& text = (*found)[i];
    (*out)[i] = static_cast<char*>(block(text.size() + 1));
    std::memcpy((*out)[i], text.c_str(), text.size() + 1);
  }
  return nullptr;
}

OrtStatus* get_tensor(const OrtKernelInfo* info, const char* name, OrtAllocator* with, OrtValue** out) {
  if (with != &allocator) misuse("a tensor into another allocator");
  OrtStatus* problem;
  const Tensor* found = attribute<Tensor>(info, name, &problem);
  if (!found) return problem;
  const Spared spared;
  ++handed_out;
  *out = new OrtValue{*found};
  return nullptr;
}

OrtStatus* get_input(const OrtKernelContext* context, size_t index, const OrtValue** out) {
  if (fails_now()) return status("KernelContext_GetInput was made to fail");
  if (index != 0) misuse("an input beyond the first");
  *out = &context->input;
  return nullptr;
}

thread_local const OrtCustomOp* running = nullptr;

OrtStatus* get_output(OrtKernelContext* context, size_t index, const int64_t* shape, size_t rank, OrtValue** out) {
  if (fails_now()) return status("KernelContext_GetOutput was made to fail");
  const size_t n_outputs = running->GetOutputTypeCount(running);
  if (index >= n_outputs && running->GetOutputCharacteristic(running, n_outputs - 1) != kVariadic)
    misuse("an output beyond the last");
  const Spared spared;
  Tensor made;
  made.type = static_cast<Type>(running->GetOutputType(running, std::min(index, n_outputs - 1)));
  if (static_cast<Element>(made.type) == Element::kUndefined) made.type = context->input.tensor.type;
  made.shape.assign(shape, shape + rank);
  const size_t most = kMostBytes / size_of(made.type);
  size_t count = 1;
  for (const int64_t size : made.shape) {
    if (size < 0 || (size > 0 && count > most / static_cast<size_t>(size))) return status("no room for the output");
    count *= static_cast<size_t>(size);
  }
  if (made.type == Type::kString)
    made.strings.resize(count);
  else
    made.bytes.assign(count * size_of(made.type), 0xa5);
  if (context->outputs.size() <= index) context->outputs.resize(index + 1);
  context->outputs[index] = std::make_unique<OrtValue>(OrtValue{std::move(made)});
  *out = context->outputs[index].get();
  return nullptr;
}

OrtStatus* fill_string(OrtValue* value, const char* text, size_t index) {
  if (fails_now()) return status("FillStringTensorElement was made to fail");
  if (value->tensor.type != Type::kString) misuse("text into numbers");
  const Spared spared;
  value->tensor.strings.at(index) = text;
  return nullptr;
}

OrtStatus* parallel_for(const OrtKernelContext* context, void (*task)(void*, size_t), size_t count, size_t,
                        void* data) {
  if (fails_now()) return status("KernelContext_ParallelFor was made to fail");
  std::vector<size_t> order;
  {
    const Spared spared;
    order.resize(count);
    std::iota(order.begin(), order.end(), size_t{0});
  }
  Random(context->threads.seed).shuffle(order);
  std::atomic<size_t> at{0};
  // The runtime's threads take no exceptions: one that leaves a task ends the process, here as well.
  const auto work = [&]() noexcept {
    for (size_t i = at++; i < order.size(); i = at++) task(data, order[i]);
  };
  if (context->threads.count <= 1) {
    work();
    return nullptr;
  }
  const Spared spared;
  std::vector<std::thread> others;
  for (int i = 1; i < context->threads.count; ++i) others.emplace_back(work);
  work();
  for (std::thread& other : others) other.join();
  return nullptr;
}

void not_there() { misuse("a slot that no operator should need"); }

constexpr size_t kSlots = 1024;

const OrtApi* table() {
  static const std::vector<OrtSlot> slots = [] {
    std::vector<OrtSlot> made(kSlots, not_there);
    const auto put = [&](size_t slot, auto* function) { made[slot] = reinterpret_cast<OrtSlot>(function); };
    put(kCreateStatus, create_status);
    put(kGetErrorMessage, get_error_message);
    put(kReleaseStatus, release_status);
    put(kCreateCustomOpDomain, create_domain);
    put(kCustomOpDomain_Add, domain_add);
    put(kAddCustomOpDomain, add_domain);
    put(kGetTensorMutableData, tensor_data);
    put(kGetTensorTypeAndShape, type_and_shape);
    put(kReleaseTensorTypeAndShapeInfo, release_info);
    put(kGetTensorElementType, element_type);
    put(kGetDimensionsCount, n_dimensions);
    put(kGetDimensions, dimensions);
    put(kGetTensorShapeElementCount, element_count);
    put(kReleaseValue, release_value);
    put(kGetAllocatorWithDefaultOptions, get_allocator);
    put(kAllocatorFree, allocator_free);
    put(kKernelInfoGetAttribute_int64, get_one<int64_t>);
    put(kKernelInfoGetAttribute_string, get_string);
    put(kKernelInfoGetAttributeArray_float, get_array<float>);
    put(kKernelInfoGetAttributeArray_int64, get_array<int64_t>);
    put(kKernelInfoGetAttribute_tensor, get_tensor);
    put(kKernelContext_GetInput, get_input);
    put(kKernelContext_GetOutput, get_output);
    put(kKernelContext_ParallelFor, parallel_for);
    put(kFillStringTensorElement, fill_string);
    if (runtime_version >= 24) put(kGetTensorElementTypeAndShapeDataReference, type_and_shape_reference);
    if (runtime_version >= 25) put(kKernelInfoGetAttributeArray_string, get_strings);
    return made;
  }();
  return reinterpret_cast<const OrtApi*>(slots.data());
}

const OrtApi* get_api(uint32_t version) {
  return version <= static_cast<uint32_t>(runtime_version) ? table() : nullptr;
}

const char* version_string() {
  static const std::string text = "1." + std::to_string(runtime_version) + ".0";
  return text.c_str();
}

}  // namespace

void start_runtime(int minor) {
  runtime_version = minor;
  static const OrtApiBase base{get_api, version_string};
  if (OrtStatus* const problem = RegisterCustomOps(&options, &base)) misuse(problem->message.c_str());
}

std::vector<const OrtCustomOp*> registered(const std::string& name) {
  std::vector<const OrtCustomOp*> found;
  for (const OrtCustomOpDomain* domain : options.domains)
    for (const OrtCustomOp* op : domain->ops)
      if (op->GetName(op) == name) found.push_back(op);
  return found;
}

int64_t outstanding() { return handed_out; }

Kernel::Kernel(const OrtCustomOp* op, const Attributes& attributes, std::string& error, bool behind_fences)
    : op_(op), behind_fences_(behind_fences) {
  const Fence fence(behind_fences);
  const OrtKernelInfo info{&attributes};
  OrtStatus* const problem = op->CreateKernelV2(op, table(), &info, &kernel_);
  const Spared spared;
  error = problem ? problem->message : "";
  if (problem && error.empty()) error = "(no message)";
  if (!problem && !kernel_) misuse("neither a kernel nor a status");
  if (problem) kernel_ = nullptr;
  release_status(problem);
}

Kernel::~Kernel() {
  if (kernel_) op_->KernelDestroy(kernel_);
}

Answer Kernel::run(const Tensor& rows, const Threads& threads) const {
  const Fence fence(behind_fences_);
  OrtKernelContext context;
  {
    const Spared spared;
    context.input.tensor = rows;
    context.threads = threads;
  }
  running = op_;
  OrtStatus* const problem = op_->KernelComputeV2(kernel_, &context);
  const Spared spared;
  Answer answer;
  if (problem) answer.error = problem->message.empty() ? "(no message)" : problem->message;
  release_status(problem);
  for (const auto& output : context.outputs) {
    if (!problem && !output) misuse("an output was left out");
    if (output) answer.outputs.push_back(std::move(output->tensor));
  }
  return answer;
}

}  // namespace glulam::fuzz
