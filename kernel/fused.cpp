#include "fused.h"

#include <memory>
#include <string>
#include <utility>

#include "fused_plan.h"

namespace glulam {

namespace {

constexpr auto kBoolElement = static_cast<Element>(9);

void release_and_refuse(const Api& api, OrtStatus* status, const std::string& name) {
  if (status) throw Refused(name + ": cannot be read: " + take_message(api, status));
}

Constant read_constant(const Api& api, const OrtKernelInfo* info, const std::string& name) {
  const auto check = [&](OrtStatus* status) { release_and_refuse(api, status, name); };
  OrtAllocator* allocator = nullptr;
  check(api.GetAllocatorWithDefaultOptions(&allocator));
  OrtValue* value = nullptr;
  check(api.KernelInfoGetAttribute_tensor(info, name.c_str(), allocator, &value));
  const std::unique_ptr<OrtValue, void (*)(OrtValue*)> held(value, api.ReleaseValue);
  OrtTensorTypeAndShapeInfo* shape = nullptr;
  check(api.GetTensorTypeAndShape(value, &shape));
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> held_shape(
      shape, api.ReleaseTensorTypeAndShapeInfo);
  Element type = Element::kUndefined;
  size_t size = 0;
  check(api.GetTensorElementType(shape, &type));
  check(api.GetTensorShapeElementCount(shape, &size));
  Constant constant{static_cast<Kind>(type), {}};
  const size_t n_bytes = size * size_of(constant.kind);
  void* data = nullptr;
  check(api.GetTensorMutableData(value, &data));
  const auto* bytes = static_cast<const unsigned char*>(data);
  constant.bytes.assign(bytes, bytes + n_bytes);
  if (constant.kind == Kind::kBool)
    for (unsigned char& byte : constant.bytes) byte = byte != 0;
  return constant;
}

class NodeParts final : public Parts {
 public:
  NodeParts(const Api& api, const OrtKernelInfo* info) : api_(api), info_(info), node_(api, info) {}

  Constant constant(int64_t number) override { return read_constant(api_, info_, "c" + std::to_string(number)); }
  void tables(int64_t number, Tables<float>& out) override { out = read<float>(number); }
  void tables(int64_t number, Tables<double>& out) override { out = read<double>(number); }

  const Attributes& node() const { return node_; }

 private:
  template <typename T>
  Tables<T> read(int64_t number) const {
    const std::string prefix = "t" + std::to_string(number) + "_";
    if (read_post_transform(node_, prefix) != PostTransform::kNone) throw Refused(prefix + "post_transform: not NONE");
    return read_tree_ensemble<T>(node_, prefix);
  }

  const Api& api_;
  const OrtKernelInfo* info_;
  Attributes node_;
};

// What an operator takes and gives: an index or label, a check, and scores of one type.
struct Signature {
  std::string name;
  Element rows;
  bool label, valid;
  Element numbers;  // kUndefined where there are none

  size_t n_outputs() const { return label + valid + (numbers != Element::kUndefined); }
  Element output(size_t index) const {
    if (label && index == 0) return Element::kInt64;
    return valid && index == (label ? 1U : 0U) ? kBoolElement : numbers;
  }
  // Whether this output stands for one and all that follow.
  bool repeats(size_t index) const { return numbers != Element::kUndefined && index + 1 == n_outputs(); }
};

class Ensemble {
 public:
  Ensemble(const Api& api, const Signature& signature, NodeParts&& parts)
      : api_(api), plan_(parts.node().integers("plan"), static_cast<Kind>(signature.rows), parts) {
    const std::vector<Answer>& answers = plan_.answers();
    const size_t n_fixed = signature.label + signature.valid;
    if (answers.size() < n_fixed || (answers.size() > n_fixed) != (signature.numbers != Element::kUndefined))
      throw Refused("plan: " + std::to_string(answers.size()) + " answers");
    for (size_t i = 0; i < answers.size(); ++i)
      if (static_cast<Element>(answers[i].kind) != signature.output(std::min(i, n_fixed)))
        throw Refused("plan: answer " + std::to_string(i) + " is of another type than the output");
  }

  void compute(Call& call, OrtKernelContext* context) const {
    const Rows rows = call.rows(0, plan_.n_features());
    if (rows.n_columns != plan_.n_features())
      throw Failed("input has " + std::to_string(rows.n_columns) + " columns, but the model takes " +
                   std::to_string(plan_.n_features()));
    const std::vector<Answer>& answers = plan_.answers();
    void* out[64] = {};
    for (size_t i = 0; i < answers.size(); ++i) {
      int64_t shape[9] = {rows.n_rows};
      size_t rank = 1;
      for (int64_t size : answers[i].shape) shape[rank++] = size;
      OrtValue* value = nullptr;
      call.check(api_.KernelContext_GetOutput(context, i, shape, rank, &value));
      if (value) call.check(api_.GetTensorMutableData(value, &out[i]));
    }
    if (!rows.n_rows) return;
    if (const char* failure = plan_.run(rows.data, rows.n_rows, out, call)) throw Failed(failure);
  }

 private:
  const Api& api_;
  Plan plan_;
};

struct FusedOperator : OrtCustomOp {
  FusedOperator(const Api& given, Signature wanted) : OrtCustomOp{}, api(given), signature(std::move(wanted)) {
    version = kCustomOpVersion;
    GetName = [](const OrtCustomOp* op) { return static_cast<const FusedOperator*>(op)->name.now(); };
    GetExecutionProviderType = [](const OrtCustomOp*) -> const char* { return nullptr; };  // the CPU's
    GetInputType = [](const OrtCustomOp* op, size_t) { return of(op).rows; };
    GetInputTypeCount = [](const OrtCustomOp*) { return size_t{1}; };
    GetOutputType = [](const OrtCustomOp* op, size_t i) { return of(op).output(i); };
    GetOutputTypeCount = [](const OrtCustomOp* op) { return of(op).n_outputs(); };
    GetInputCharacteristic = [](const OrtCustomOp*, size_t) { return int32_t{0}; };
    GetOutputCharacteristic = [](const OrtCustomOp* op, size_t i) { return int32_t{of(op).repeats(i) ? 2 : 0}; };
    GetInputMemoryType = [](const OrtCustomOp*, size_t) { return int32_t{0}; };
    GetVariadicInputMinArity = [](const OrtCustomOp*) { return 1; };
    GetVariadicInputHomogeneity = [](const OrtCustomOp*) { return 1; };
    GetVariadicOutputMinArity = [](const OrtCustomOp*) { return 1; };
    GetVariadicOutputHomogeneity = [](const OrtCustomOp*) { return 1; };
    GetStartVersion = [](const OrtCustomOp*) { return 1; };
    GetEndVersion = [](const OrtCustomOp*) { return 1000; };  // until further notice
    CreateKernelV2 = create;
    KernelComputeV2 = compute;
    KernelDestroy = [](void* kernel) { delete static_cast<Held*>(kernel); };
  }

  const Api api;
  const Signature signature;
  const Name name{signature.name};

 private:
  struct Held {
    Held(const FusedOperator& op, NodeParts&& parts) : op(op), ensemble(op.api, op.signature, std::move(parts)) {}
    const FusedOperator& op;
    Ensemble ensemble;
  };

  static const Signature& of(const OrtCustomOp* op) { return static_cast<const FusedOperator*>(op)->signature; }

  static OrtStatus* create(const OrtCustomOp* self, const OrtApi*, const OrtKernelInfo* info, void** kernel) {
    const auto& op = *static_cast<const FusedOperator*>(self);
    try {
      *kernel = new Held(op, NodeParts(op.api, info));
      ++kernels_created;
      return nullptr;
    } catch (...) {
      return status_of_exception(op.api, op.signature.name.c_str());
    }
  }

  static OrtStatus* compute(void* kernel, OrtKernelContext* context) {
    const Held& held = *static_cast<const Held*>(kernel);
    try {
      Call call(held.op.api, context);
      held.ensemble.compute(call, context);
      return nullptr;
    } catch (...) {
      return status_of_exception(held.op.api, held.op.signature.name.c_str());
    }
  }
};

}  // namespace

std::vector<const OrtCustomOp*> fused_operators(const Api& api) {
  const std::pair<const char*, Element> numbers[] = {
      {"", Element::kUndefined}, {"Float", Element::kFloat}, {"Double", Element::kDouble}};
  std::vector<const OrtCustomOp*> operators;
  for (const auto& [row_name, row] : {numbers[1], numbers[2]}) {
    for (const bool label : {false, true}) {
      for (const bool valid : {false, true}) {
        for (const auto& [number_name, number] : numbers) {
          if (!label && !valid && number == Element::kUndefined) continue;
          const std::string name =
              std::string("Ensemble") + row_name + (label ? "Label" : "") + (valid ? "Valid" : "") + number_name;
          operators.push_back(new FusedOperator(api, {name, row, label, valid, number}));
        }
      }
    }
  }
  return operators;
}

}  // namespace glulam
