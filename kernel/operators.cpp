#include "operators.h"

#include "finalize.h"

namespace glulam {

thread_local int64_t kernels_created = 0;
thread_local Show shown = Show::kRegistered;

OrtStatus* status_of_exception(const Api& api, const char* name) {
  ErrorCode code = ErrorCode::kFail;
  std::string message;
  try {
    const std::string who = std::string("glulam: ") + name + ": ";
    try {
      throw;
    } catch (const Refused& refused) {
      code = ErrorCode::kNotImplemented;
      message = who + refused.what();
    } catch (const Failed& failed) {
      code = ErrorCode::kInvalidArgument;
      message = who + failed.what();
    } catch (const std::bad_alloc&) {
      message = who + "out of memory";
    } catch (const std::exception& error) {
      message = who + error.what();
    }
  } catch (...) {  // not even for the message
    return api.CreateStatus(ErrorCode::kFail, "glulam: out of memory");
  }
  return api.CreateStatus(code, message.c_str());
}

void Call::fail(OrtStatus* status) const { throw Failed(take_message(api_, status)); }

Rows Call::rows(size_t input, int64_t n_columns) const {
  const OrtValue* value = nullptr;
  check(api_.KernelContext_GetInput(context_, input, &value));
  if (!value) throw Failed("input " + std::to_string(input) + " is missing");

  size_t rank = 0;
  int64_t shape[2] = {0, 0};
  if (api_.GetTensorElementTypeAndShapeDataReference) {
    Element type = Element::kUndefined;
    const int64_t* dimensions = nullptr;
    check(api_.GetTensorElementTypeAndShapeDataReference(value, &type, &dimensions, &rank));
    for (size_t i = 0; i < rank && i < 2; ++i) shape[i] = dimensions[i];
  } else {
    OrtTensorTypeAndShapeInfo* info = nullptr;
    check(api_.GetTensorTypeAndShape(value, &info));
    OrtStatus* status = api_.GetDimensionsCount(info, &rank);
    if (!status && rank <= 2) status = api_.GetDimensions(info, shape, rank);
    api_.ReleaseTensorTypeAndShapeInfo(info);
    check(status);
  }
  if (rank != 1 && rank != 2)
    throw Failed("input has " + std::to_string(rank) + " dimensions; expected rows x columns");

  const Rows rows{nullptr, rank == 1 ? 1 : shape[0], shape[rank - 1]};
  // Of a row without a dimension for rows, onnxruntime lets the first column be read alone.
  if (rank == 1 && n_columns > 1)
    throw Failed("input has one dimension, but the model reads " + std::to_string(n_columns) +
                 " columns; expected rows x columns");
  if (rows.n_columns < n_columns)
    throw Failed("input has " + std::to_string(rows.n_columns) + " columns, but the model reads " +
                 std::to_string(n_columns));
  // There is no getter for memory that is only read.
  void* data = nullptr;
  check(api_.GetTensorMutableData(const_cast<OrtValue*>(value), &data));
  return {data, rows.n_rows, rows.n_columns};
}

OrtValue* Call::output_value(size_t index, const int64_t* shape, size_t rank) const {
  OrtValue* value = nullptr;
  check(api_.KernelContext_GetOutput(context_, index, shape, rank, &value));
  return value;
}

void Call::run(void (*task)(void* data, size_t index), size_t count, void* data) {
  check(api_.KernelContext_ParallelFor(context_, task, count, 0, data));
}

namespace {

template <typename T>
class TreeEnsemble {
 public:
  static constexpr const char* kName = "TreeEnsemble";
  static constexpr int kSince = 5;
  static constexpr std::array<Element, 1> kInputs{element_of<T>()};
  static constexpr std::array<Element, 1> kOutputs{element_of<T>()};

  explicit TreeEnsemble(const Attributes& node) : TreeEnsemble(node, read_tree_ensemble<T>(node)) {}

  void compute(Call& call) const {
    const Rows rows = call.rows(0, forest_.n_columns());
    T* out = call.output<T, 2>(0, {rows.n_rows, finish_.n_targets});
    if (!rows.n_rows || !out) return;
    forest_.score(static_cast<const T*>(rows.data), rows.n_rows, rows.n_columns, out, nullptr, call);
    if (!nothing_) finish_.apply(out, nullptr, rows.n_rows, out);
  }

 private:
  TreeEnsemble(const Attributes& node, const Tables<T>& tables) : forest_(tables) {
    finish_.aggregate = tables.aggregate;
    finish_.post_transform = read_post_transform(node);
    finish_.n_targets = forest_.n_targets();
    finish_.n_trees = forest_.n_trees();
    nothing_ = finish_.nothing();
  }

  Forest<T> forest_;
  Finish<T> finish_;
  bool nothing_;
};

}  // namespace

std::vector<const OrtCustomOp*> standard_operators(const Api& api) {
  std::vector<const OrtCustomOp*> operators{new Operator<TreeEnsemble<float>>(api),
                                            new Operator<TreeEnsemble<double>>(api)};
  if (api.KernelInfoGetAttributeArray_string) add_operators_before_5(api, operators);
  return operators;
}

}  // namespace glulam
