// TreeEnsembleRegressor and TreeEnsembleClassifier: the operators before TreeEnsemble.
#include <algorithm>
#include <memory>
#include <type_traits>

#include "classify.h"
#include "finalize.h"
#include "operators.h"

namespace glulam {

namespace {

// Memory for the length of a call: on the stack as long as it is small.
template <typename T>
class Scratch {
 public:
  explicit Scratch(size_t n) : held_(n > kSmall ? new T[n] : nullptr), data_(held_ ? held_.get() : small_) {}
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
  T* data() { return data_; }

 private:
  static constexpr size_t kSmall = 512;
  T small_[kSmall];
  std::unique_ptr<T[]> held_;
  T* data_;
};

size_t product(int64_t a, int64_t b) { return static_cast<size_t>(a) * static_cast<size_t>(b); }

// A forest over rows of type In, compared and added up in T.
template <typename In, typename T>
void score(const Forest<T>& forest, const Rows& rows, T* scores, uint8_t* hits, Call& call) {
  const In* data = static_cast<const In*>(rows.data);
  if constexpr (std::is_same_v<In, T>) {
    forest.score(data, rows.n_rows, rows.n_columns, scores, hits, call);
  } else {
    const size_t n = product(rows.n_rows, rows.n_columns);
    Scratch<T> converted(n);
    std::transform(data, data + n, converted.data(), [](In x) { return static_cast<T>(x); });
    forest.score(converted.data(), rows.n_rows, rows.n_columns, scores, hits, call);
  }
}

template <typename T>
class TreeEnsembleRegressor {
 public:
  static constexpr const char* kName = "TreeEnsembleRegressor";
  static constexpr int kSince = 1;
  static constexpr std::array<Element, 1> kInputs{element_of<T>()};
  static constexpr std::array<Element, 1> kOutputs{Element::kFloat};

  explicit TreeEnsembleRegressor(const Attributes& node)
      : TreeEnsembleRegressor(read_standard<T>(node, "target_", node.integer("n_targets", 0))) {}

  void compute(Call& call) const {
    const Rows rows = call.rows(0, forest_.n_columns());
    float* out = call.output<float, 2>(0, {rows.n_rows, finish_.n_targets});
    if (!rows.n_rows || !out) return;
    const size_t n = product(rows.n_rows, finish_.n_targets);
    Scratch<uint8_t> hits(needs_hits_ ? n : 0);
    uint8_t* hit = needs_hits_ ? hits.data() : nullptr;
    if constexpr (std::is_same_v<T, float>) {
      score<T, T>(forest_, rows, out, hit, call);
      if (!nothing_) finish_.apply(out, hit, rows.n_rows, out);
    } else {
      Scratch<T> scores(n);
      score<T, T>(forest_, rows, scores.data(), hit, call);
      finish_.apply(scores.data(), hit, rows.n_rows, out);
    }
  }

 private:
  explicit TreeEnsembleRegressor(const Standard<T>& model) : forest_(model.tables) {
    if (!model.base.empty()) same_length("base_values", model.base.size(), "n_targets", model.tables.n_targets);
    finish_.aggregate = model.tables.aggregate;
    finish_.post_transform = model.post_transform;
    finish_.n_targets = forest_.n_targets();
    finish_.n_trees = forest_.n_trees();
    finish_.base = model.base;
    nothing_ = finish_.nothing();
    needs_hits_ = finish_.needs_hits() && !forest_.hits_all_targets();
  }

  Forest<T> forest_;
  Finish<T> finish_;
  bool nothing_;
  bool needs_hits_;
};

// What classes are called: numbers, or texts.
struct Labels {
  explicit Labels(const Attributes& node)
      : numbers(node.integers("classlabels_int64s")), texts(node.texts("classlabels_strings")) {
    if (texts.empty() != (shown != Show::kTexts))
      throw Refused(texts.empty() ? "classlabels_strings: none, but texts were asked for"
                                  : "classlabels_strings: texts, but numbers were asked for");
    if (count() == 0) throw Refused("classlabels_int64s: no label");
    if (texts.size() == 1) throw Refused("classlabels_strings: one label");
  }

  size_t count() const { return texts.empty() ? numbers.size() : texts.size(); }

  std::vector<int64_t> numbers;
  std::vector<std::string> texts;
};

// Rows of type In, doubles compared as such and all else as floats.
template <typename In>
class TreeEnsembleClassifier {
  using T = std::conditional_t<std::is_same_v<In, double>, double, float>;

 public:
  static constexpr const char* kName = "TreeEnsembleClassifier";
  static constexpr int kSince = 1;
  static constexpr std::array<Element, 1> kInputs{element_of<In>()};
  static constexpr std::array<Element, 2> kOutputs{Element::kInt64, Element::kFloat};

  explicit TreeEnsembleClassifier(const Attributes& node) : TreeEnsembleClassifier(node, Labels(node)) {}

  void compute(Call& call) const {
    const Rows rows = call.rows(0, forest_.n_columns());
    const int64_t n = rows.n_rows, n_classes = forest_.n_targets();
    const bool texts = !labels_.texts.empty();
    OrtValue* text = texts ? call.output_value(0, &n, 1) : nullptr;
    int64_t* number = texts ? nullptr : call.output<int64_t, 1>(0, {n});
    float* scores = call.output<float, 2>(1, {n, n_classes});
    if (!n || (!text && !number && !scores)) return;
    Scratch<T> sums(product(n, n_classes));
    Scratch<uint8_t> hits(needs_hits_ ? product(n, n_classes) : 0);
    score<In, T>(forest_, rows, sums.data(), needs_hits_ ? hits.data() : nullptr, call);
    Scratch<float> unasked(scores ? 0 : static_cast<size_t>(n_classes));
    for (int64_t i = 0; i < n; ++i) {
      const int64_t first = i * n_classes;
      const size_t label = static_cast<size_t>(classify_.row(
          sums.data() + first, needs_hits_ ? hits.data() + first : nullptr, scores ? scores + first : unasked.data()));
      if (number) number[i] = labels_.numbers[label];
      if (text) call.write(text, static_cast<size_t>(i), labels_.texts[label]);
    }
  }

 private:
  TreeEnsembleClassifier(const Attributes& node, const Labels& labels)
      : TreeEnsembleClassifier(read_classes(node, labels), labels) {}

  TreeEnsembleClassifier(const Standard<T>& model, const Labels& labels)
      : forest_(model.tables), classify_(model, model.tables.n_targets), labels_(labels) {
    needs_hits_ = classify_.needs_hits() && !forest_.hits_all_targets();
    if (classify_.class_is_label()) labels_.numbers = {0, 1};
  }

  static Standard<T> read_classes(const Attributes& node, const Labels& labels) {
    Standard<T> model = read_standard<T>(node, "class_", static_cast<int64_t>(labels.count()));
    model.tables.aggregate = Aggregate::kSum;  // whatever the node says
    return model;
  }

  Forest<T> forest_;
  Classify<T> classify_;
  Labels labels_;
  bool needs_hits_;
};

}  // namespace

void add_operators_before_5(const Api& api, std::vector<const OrtCustomOp*>& operators) {
  operators.push_back(new Operator<TreeEnsembleRegressor<float>>(api));
  operators.push_back(new Operator<TreeEnsembleRegressor<double>>(api));
  operators.push_back(new Operator<TreeEnsembleClassifier<float>>(api));
  operators.push_back(new Operator<TreeEnsembleClassifier<double>>(api));
  operators.push_back(new Operator<TreeEnsembleClassifier<int64_t>>(api));
  operators.push_back(new Operator<TreeEnsembleClassifier<int32_t>>(api));
}

}  // namespace glulam
