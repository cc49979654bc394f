#include "check.h"

#include <algorithm>
#include <cmath>
#include <sstream>
#include <thread>

#include "fake_ort.h"
#include "memory.h"
#include "model.h"
#include "reference.h"

namespace glulam::fuzz {

namespace {

// Enough steps of the reference for one model; the other rows are held to each other alone.
constexpr int64_t kReferenceTrees = 20000;
constexpr int64_t kWidest = 1200;

class Wrong : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

void hold(bool holds, const std::string& what) {
  if (!holds) throw Wrong(what);
}

struct Case {
  Model model;
  bool mutated = false;
  const OrtCustomOp* op = nullptr;
};

const OrtCustomOp* served_by(const Model& model) {
  for (const OrtCustomOp* op : registered(model.op)) {
    const Element type = op->GetInputType(op, 0);
    if (type == static_cast<Element>(model.input) || type == Element::kUndefined) return op;
  }
  return nullptr;
}

Case make(Random& random) {
  Case made;
  made.model = random.one_in(5) ? generate_fused(random) : generate(random);
  if (made.model.op == "TreeEnsembleClassifier" && made.model.input == Type::kFloat && random.one_in(4)) {
    made.model.input = random.one_in(2) ? Type::kInt64 : Type::kInt32;
  }
  made.mutated = !random.one_in(5);
  if (made.mutated) mutate(made.model, random);
  // What was mutated may read other columns: give it those that it asks for, if they are not too many.
  for (const auto& [name, attribute] : made.model.attributes)
    if (const auto* list = std::get_if<std::vector<int64_t>>(&attribute); list && name == "nodes_featureids")
      for (const int64_t feature : *list)
        if (feature >= made.model.n_columns && feature < kWidest) made.model.n_columns = feature + 1;
  made.op = served_by(made.model);
  return made;
}

bool same_bits(const Tensor& a, const Tensor& b) {
  if (a.type != b.type || a.shape != b.shape || a.strings != b.strings) return false;
  if (a.bytes == b.bytes) return true;
  if (a.type != Type::kFloat && a.type != Type::kDouble) return false;
  const auto x = a.values<double>(), y = b.values<double>();
  for (size_t i = 0; i < x.size(); ++i)
    if (!(x[i] == y[i] && std::signbit(x[i]) == std::signbit(y[i])) && !(std::isnan(x[i]) && std::isnan(y[i])))
      return false;
  return true;
}

// Some rows of a matrix; a single one also as a vector.
Tensor part(const Tensor& rows, int64_t first, int64_t count) {
  Tensor some;
  some.type = rows.type;
  some.shape = rows.shape;
  if (!some.shape.empty()) some.shape[0] = count;
  const auto height = static_cast<size_t>(rows.shape.empty() ? 1 : rows.shape[0]);
  const size_t size = height == 0 ? 0 : rows.bytes.size() / height;
  const auto from = static_cast<std::ptrdiff_t>(static_cast<size_t>(first) * size);
  const auto to = from + static_cast<std::ptrdiff_t>(static_cast<size_t>(count) * size);
  if (!rows.bytes.empty()) some.bytes.assign(rows.bytes.begin() + from, rows.bytes.begin() + to);
  if (!rows.strings.empty()) some.strings.assign(rows.strings.begin() + first, rows.strings.begin() + first + count);
  return some;
}

void hold_same(const Answer& whole, int64_t first, int64_t count, const Answer& other, const std::string& what) {
  hold(other.error.empty(), what + " fails: " + other.error);
  hold(other.outputs.size() == whole.outputs.size(), what + " has other outputs");
  for (size_t i = 0; i < whole.outputs.size(); ++i)
    hold(same_bits(part(whole.outputs[i], first, count), other.outputs[i]), what + " differs from the batch");
}

void hold_expected(const Model& model, const Expected& expected, const Answer& answer, int64_t row, int64_t n_rows) {
  const Tensor& scores = answer.outputs.back();
  const std::string at = "row " + std::to_string(row) + ": ";
  const auto width = static_cast<int64_t>(expected.scores.size());
  hold(scores.shape == std::vector<int64_t>{n_rows, width}, "the scores' shape");
  const std::vector<double> got = part(scores, row, 1).values<double>();
  for (size_t i = 0; i < got.size(); ++i) {
    const double want = expected.scores[i];
    bool fits =
        (std::isnan(want) && std::isnan(got[i])) || (want == got[i] && std::signbit(want) == std::signbit(got[i]));
    if (expected.tolerance > 0) fits = fits || std::fabs(want - got[i]) <= expected.tolerance * (1 + std::fabs(want));
    if (fits) continue;
    std::ostringstream text;
    text.precision(17);
    text << at << "score " << i << ": expected " << want << ", got " << got[i];
    throw Wrong(text.str());
  }
  if (expected.label < 0) return;
  const auto label = static_cast<size_t>(expected.label);
  const Tensor got_label = part(answer.outputs.front(), row, 1);
  const auto& labels = std::get<std::vector<int64_t>>(model.attributes.at("classlabels_int64s"));
  hold(got_label.values<int64_t>() == std::vector<int64_t>{labels[label]}, at + "another label");
}

// Rows of shapes that no session should be asked with, and some that it may: whatever comes, it must come back.
void odd_rows(const Case& c, const Kernel& kernel, Random& random) {
  const int64_t n = c.model.n_columns;
  const Threads threads{1, random.next()};
  Tensor rows = rows_for(c.model, 0, n, random);
  const Answer none = kernel.run(rows, threads);
  if (none.error.empty())
    for (const Tensor& output : none.outputs) hold(!output.shape.empty() && output.shape[0] == 0, "answers to no rows");
  for (const int64_t fewer : {int64_t{0}, n - 1, static_cast<int64_t>(random.below(static_cast<size_t>(n)))})
    kernel.run(rows_for(c.model, random.between(0, 3), fewer, random), threads);
  rows = rows_for(c.model, 1, n, random);
  rows.shape = {n};
  kernel.run(rows, threads);
  rows.shape = {1, n, 1};
  kernel.run(rows, threads);
  rows = rows_for(c.model, 1, 1, random);
  rows.shape = {};
  kernel.run(rows, threads);
}

// Memory that ends, or a runtime that fails, in the middle of anything: an error at most, and nothing left behind.
void failing(const Case& c, const Tensor& rows, Random& random, Counts& counts) {
  ++counts.failures_asked;
  std::string error;
  fail_after(static_cast<int64_t>(random.below(120)));
  {
    const Kernel kernel(c.op, c.model.attributes, error);
    failed();
  }
  hold(error.find("bad_alloc") == std::string::npos, "memory ends in other words: " + error);
  const Kernel kernel(c.op, c.model.attributes, error);
  if (!error.empty()) return;
  const int64_t passing = static_cast<int64_t>(random.below(12));
  const Threads threads{1, random.next()};
  std::string wrong;
  bool came = false;
  // On a thread of its own, which keeps no memory from calls before.
  std::thread([&] {
    fail_after(passing);
    wrong = kernel.run(rows, threads).error;
    came = failed();
  }).join();
  hold(came || wrong.empty(), "a second kernel answers otherwise");
  hold(wrong.find("bad_alloc") == std::string::npos, "memory ends in other words: " + wrong);
}

int64_t batch_size(int64_t rows, Random& random) {
  switch (random.below(8)) {
    case 0:
      return 1;
    case 1:
      return random.between(2, 20);
    case 2:
      return random.one_in(8) ? 20 * rows : 2 * rows;
    default:
      return random.between(1, 2 * rows);
  }
}

void answers(const Case& c, const Kernel& kernel, const Reference* reference, int64_t rows, Random& random,
             Counts& counts) {
  const Model& model = c.model;
  const int64_t n_rows = batch_size(rows, random);
  const bool more = model.op[0] == 'T' && random.one_in(4);  // a fused node takes its own columns alone
  const int64_t n_columns = model.n_columns + (more ? random.between(1, 5) : 0);
  const Tensor input = rows_for(model, n_rows, n_columns, random);
  const Answer whole = kernel.run(input, {1, random.next()});
  if (!whole.error.empty()) {
    hold(c.mutated || !reference, "rows are refused: " + whole.error);  // a plan may look up what is not there
    return;
  }
  counts.rows += n_rows;
  for (const Tensor& output : whole.outputs)
    hold(!output.shape.empty() && output.shape[0] == n_rows, "as many answers as rows");
  if (reference && reference->tells_scores()) {
    const int64_t most = std::max<int64_t>(1, kReferenceTrees / reference->n_trees());
    const int64_t step = std::max<int64_t>(1, n_rows / most);
    for (int64_t row = 0; row < n_rows; row += step, ++counts.compared)
      hold_expected(model, reference->answer(input, row, n_columns), whole, row, n_rows);
  }
  for (int i = 0; i < 3; ++i) {
    const int64_t row = random.between(0, n_rows - 1);
    hold_same(whole, row, 1, kernel.run(part(input, row, 1), {1, random.next()}), "a row alone");
  }
  const int64_t first = random.between(0, n_rows - 1), count = random.between(1, n_rows - first);
  hold_same(whole, first, count, kernel.run(part(input, first, count), {1, random.next()}), "a part");
  const int n_threads = random.one_in(20) ? 2 + static_cast<int>(random.below(2)) : 1;
  hold_same(whole, 0, n_rows, kernel.run(input, {n_threads, random.next()}), "the same batch again");
  if (random.one_in(4)) odd_rows(c, kernel, random);
  if (random.one_in(10)) failing(c, part(input, 0, random.between(1, n_rows)), random, counts);
}

std::unique_ptr<Reference> read(const Model& model, std::string& why) {
  try {
    return Reference::read(model);
  } catch (const Unspecified& unspecified) {
    why = unspecified.what();
    return nullptr;
  }
}

void check(uint64_t seed, int64_t rows, Counts& counts) {
  Random random(seed);
  const Case c = make(random);
  ++counts.models;
  if (!c.op) {
    ++counts.unserved;
    return;
  }
  std::string why, error;
  const bool fused = c.model.op.rfind("Ensemble", 0) == 0;  // whose answers are held to each other alone
  const auto reference = fused ? nullptr : read(c.model, why);
  hold(c.mutated || fused || reference, "made wrongly: " + why);
  const Kernel kernel(c.op, c.model.attributes, error, random.one_in(20));
  if (!error.empty()) {
    ++counts.refused;
    hold(error.rfind("glulam: ", 0) == 0, "a message without a name: " + error);
    // Of two classes, the library leaves to onnxruntime what its releases answer in different ways.
    hold(c.mutated || (reference && !reference->tells_scores()), "a valid model is refused: " + error);
    return;
  }
  ++counts.accepted;
  hold(fused || reference, "accepted, but: " + why);
  try {
    answers(c, kernel, reference.get(), rows, random, counts);
  } catch (const Unspecified& unspecified) {
    throw Wrong(std::string("accepted, but: ") + unspecified.what());
  }
}

std::string unreleased(int64_t before) {
  const int64_t left = outstanding() - before;
  return left == 0 ? "" : std::to_string(left) + " objects of the runtime are not released";
}

}  // namespace

std::string check_model(uint64_t seed, int64_t rows, Counts& counts) {
  const int64_t before = outstanding();
  std::string wrong;
  try {
    check(seed, rows, counts);
  } catch (const Wrong& found) {
    wrong = found.what();
  }
  failed();
  return wrong.empty() ? unreleased(before) : wrong;
}

std::string describe(uint64_t seed) {
  Random random(seed);
  return describe(make(random).model);
}

std::string check_threads(uint64_t seed, int64_t rows, Counts& counts) {
  constexpr int kThreads = 4;
  const int64_t before = outstanding();
  Random random(seed);
  const Case c = make(random);
  ++counts.models;
  std::string error;
  if (!c.op) return "";
  const Kernel shared(c.op, c.model.attributes, error);
  ++(error.empty() ? counts.accepted : counts.refused);
  const Tensor input = rows_for(c.model, batch_size(rows, random), c.model.n_columns, random);
  const Answer whole = error.empty() ? shared.run(input, {1, 0}) : Answer();
  if (error.empty() && whole.error.empty()) counts.rows += input.shape[0] * kThreads * 2;
  std::vector<std::string> wrong(kThreads);
  const auto work = [&](int number) {
    std::string& found = wrong[static_cast<size_t>(number)];
    try {
      std::string own_error;
      const Kernel own(c.op, c.model.attributes, own_error);
      hold(own_error == error, "another error: " + own_error);
      if (!error.empty() || !whole.error.empty()) return;
      const Threads threads{1 + number % 2, seed + static_cast<uint64_t>(number)};
      hold_same(whole, 0, input.shape[0], own.run(input, threads), "an own kernel");
      hold_same(whole, 0, input.shape[0], shared.run(input, threads), "a shared kernel");
    } catch (const Wrong& caught) {
      found = caught.what();
    }
  };
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  for (const std::string& found : wrong)
    if (!found.empty()) return found;
  return unreleased(before);
}

}  // namespace glulam::fuzz
