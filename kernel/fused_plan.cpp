#include "fused_plan.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <new>
#include <string>

#include "fused_steps.h"

namespace glulam {

namespace {

constexpr int64_t kVersion = 1;
constexpr int64_t kMostBytes = 1 << 22;  // a row, of all slots together
constexpr size_t kMostMade = 1 << 26;    // bytes of constants that the plan makes of those in the file
constexpr int64_t kBlock = 256;          // rows that one thread takes through all steps
constexpr int64_t kFew = 2048;           // rows of a call up to which each forest shares out the work by itself
constexpr int64_t kScratch = 1 << 22;    // bytes of slots, about, that a block should not exceed

int64_t aligned(int64_t n_bytes) { return (n_bytes + 7) / 8 * 8; }

// Takes numbers one by one.
class Reader {
 public:
  explicit Reader(const std::vector<int64_t>& numbers) : at_(numbers.data()), end_(at_ + numbers.size()) {}
  Reader(const int64_t* begin, const int64_t* end) : at_(begin), end_(end) {}

  bool done() const { return at_ == end_; }
  int64_t left() const { return end_ - at_; }
  // The next number, which must be at least `least` and less than `end`.
  int64_t next(const char* what, int64_t least, int64_t end) {
    if (done()) throw Refused(std::string("plan: ends before ") + what);
    const int64_t value = *at_++;
    if (value < least || value >= end) throw Refused(std::string("plan: ") + what + " " + std::to_string(value));
    return value;
  }
  Reader part(int64_t length) {
    const int64_t* begin = at_;
    at_ += length;
    return Reader(begin, at_);
  }

 private:
  const int64_t* at_;
  const int64_t* end_;
};

Kind kind_of(int64_t number) {
  const auto kind = static_cast<Kind>(number);
  size_of(kind);
  return kind;
}

bool is_float(Kind kind) { return kind == Kind::kFloat || kind == Kind::kDouble; }

void require(bool holds, const char* what) {
  if (!holds) throw Refused(std::string("plan: ") + what);
}

}  // namespace

size_t size_of(Kind kind) {
  switch (kind) {
    case Kind::kFloat:
      return sizeof(float);
    case Kind::kDouble:
      return sizeof(double);
    case Kind::kInt64:
      return sizeof(int64_t);
    case Kind::kBool:
      return 1;
  }
  throw Refused("plan: type " + std::to_string(static_cast<int32_t>(kind)));
}

struct Plan::Program {
  struct Slot {
    Kind kind;
    int64_t width;
    int64_t constant;  // which of the constants it is, or -1
    int64_t offset;    // bytes before it in a block of one row
  };

  int64_t n_features = 0;
  std::vector<Slot> slots;
  std::vector<Constant> constants;
  int64_t n_given = 0;  // constants that the plan numbers; what is taken of them follows
  std::vector<Step> steps;
  std::vector<Forest<float>> forests;
  std::vector<Forest<double>> wide_forests;
  std::vector<Answer> answers;
  int64_t row_bytes = 0;
  size_t made_bytes = 0;

  int64_t add_slot(Kind kind, int64_t width, int64_t constant) {
    const int64_t bytes = constant < 0 ? aligned(width * static_cast<int64_t>(size_of(kind))) : 0;
    slots.push_back({kind, width, constant, row_bytes});
    row_bytes += bytes;
    if (width < 1 || row_bytes > kMostBytes) throw Refused("plan: a row takes too much memory");
    return static_cast<int64_t>(slots.size()) - 1;
  }

  Operand operand(Reader& rest) const {
    const int64_t number = rest.next("operand", -n_given, static_cast<int64_t>(slots.size()));
    Operand found;
    found.slot = number;
    found.constant = number < 0 || slots[number].constant >= 0;
    if (number < 0) {
      const Constant& constant = constants[-1 - number];
      found.kind = constant.kind;
      found.width = static_cast<int64_t>(constant.bytes.size() / size_of(constant.kind));
    } else {
      found.kind = slots[number].kind;
      found.width = slots[number].width;
    }
    return found;
  }

  const Constant* constant_of(const Operand& operand) const {
    if (!operand.constant) return nullptr;
    return &constants[operand.slot < 0 ? -1 - operand.slot : slots[operand.slot].constant];
  }

  void read_step(Reader& reader, Parts& parts);
  void read_forest(Step& step, Reader& rest, Parts& parts);
  void check_step(Step& step, Reader& rest);
  void check_elements(Step& step, Reader& rest);
  void check_axis(Step& step, Reader& rest);
  int64_t n_forests = 0, next_forest = 0;

  View view(const Operand& operand, const void* rows, int64_t n_rows, const unsigned char* block) const;
  const char* run_block(const void* rows, int64_t n_rows, void* const* out, Parallel* parallel) const;
};

namespace {

struct PendingAnswer {
  int64_t slot;
  std::vector<int64_t> shape;
};

}  // namespace

Plan::Plan(const std::vector<int64_t>& numbers, Kind rows, Parts& parts) : program_(std::make_unique<Program>()) {
  Program& program = *program_;
  Reader reader(numbers);
  reader.next("version", kVersion, kVersion + 1);
  program.n_features = reader.next("count of features", 1, kMostBytes);
  program.n_given = reader.next("count of constants", 0, 1 << 20);
  program.n_forests = reader.next("count of forests", 0, 1 << 20);
  std::vector<PendingAnswer> answers(reader.next("count of answers", 1, 64));
  for (PendingAnswer& answer : answers) {
    answer.slot = reader.next("slot of an answer", 1, int64_t{1} << 31);
    answer.shape.resize(reader.next("rank of an answer", 0, 8));
    for (int64_t& size : answer.shape) size = reader.next("size of an answer", 1, kMostBytes);
  }
  require(is_float(rows), "rows are of no floating-point type");
  program.add_slot(rows, program.n_features, -1);
  for (int64_t i = 0; i < program.n_given; ++i) {
    program.constants.push_back(parts.constant(i));
    const Constant& constant = program.constants.back();
    require(!constant.bytes.empty() && constant.bytes.size() % size_of(constant.kind) == 0, "an empty constant");
  }
  while (!reader.done()) program.read_step(reader, parts);
  require(program.next_forest == program.n_forests, "trees that no instruction takes");
  for (PendingAnswer& answer : answers) {
    require(answer.slot < static_cast<int64_t>(program.slots.size()), "an answer from no slot");
    const Program::Slot& slot = program.slots[answer.slot];
    require(slot.constant < 0, "a constant as an answer");
    int64_t width = 1;
    for (int64_t size : answer.shape) {
      require(size <= slot.width, "an answer of another size");
      width *= size;
      require(width <= slot.width, "an answer of another size");
    }
    require(width == slot.width, "an answer of another size");
    program.answers.push_back({answer.slot, slot.kind, std::move(answer.shape), width});
  }
}

Plan::~Plan() = default;

int64_t Plan::n_features() const { return program_->n_features; }

const std::vector<Answer>& Plan::answers() const { return program_->answers; }

void Plan::Program::read_step(Reader& reader, Parts& parts) {
  Step step;
  step.operation = static_cast<Operation>(reader.next("operation", 0, static_cast<int64_t>(Operation::kCount)));
  const int64_t length = reader.next("length of an instruction", 1, int64_t{1} << 31);
  require(length <= reader.left(), "ends within an instruction");
  Reader rest = reader.part(length);
  step.kind = kind_of(rest.next("type", 0, 100));
  if (step.operation == Operation::kForest) {
    read_forest(step, rest, parts);
  } else {
    check_step(step, rest);
  }
  require(rest.done(), "an instruction is too long");

  const bool changes_no_row = step.operation == Operation::kTake || step.operation == Operation::kCast;
  const bool constant = changes_no_row && step.in[0].constant;
  if (constant) {
    made_bytes += static_cast<size_t>(step.width) * size_of(step.kind);
    require(made_bytes <= kMostMade, "constants take too much memory");
    Constant made{step.kind, std::vector<unsigned char>(static_cast<size_t>(step.width) * size_of(step.kind))};
    const View from{constant_of(step.in[0])->bytes.data(), 0};
    carry_out(step, &from, 1, made.bytes.data());
    constants.push_back(std::move(made));
    add_slot(step.kind, step.width, static_cast<int64_t>(constants.size()) - 1);
    return;
  }
  step.slot = add_slot(step.kind, step.width, -1);
  steps.push_back(std::move(step));
}

void Plan::Program::read_forest(Step& step, Reader& rest, Parts& parts) {
  step.in.push_back(operand(rest));
  require(!step.in[0].constant && is_float(step.kind) && step.in[0].kind == step.kind, "trees on what is no row");
  // Each in its turn: so no plan, however long, makes more forests than it brings.
  next_forest = rest.next("number of a forest", next_forest, next_forest + 1);
  const int64_t count = rest.next("count of forests", 1, n_forests - next_forest + 1);
  const auto add = [&](auto& all, auto type) {
    using T = decltype(type);
    std::vector<Tables<T>> tables(static_cast<size_t>(count));
    for (Tables<T>& each : tables) {
      parts.tables(next_forest++, each);
      check(each);
      require(each.n_targets == 1 && each.aggregate == Aggregate::kSum, "trees that do not give one sum");
    }
    step.forest = all.size();
    all.emplace_back(joined(tables));
    require(all.back().n_columns() <= step.in[0].width, "trees that read columns which are not there");
  };
  if (step.kind == Kind::kFloat) {
    add(forests, float());
  } else {
    add(wide_forests, double());
  }
  step.width = count;
}

void Plan::Program::check_step(Step& step, Reader& rest) {
  switch (step.operation) {
    case Operation::kTake:
      step.in.push_back(operand(rest));
      while (!rest.done()) step.columns.push_back(rest.next("column", 0, step.in[0].width));
      step.width = static_cast<int64_t>(step.columns.size());
      require(step.kind == step.in[0].kind && step.width > 0, "columns of another type");
      return;
    case Operation::kConcat:
      while (!rest.done()) {
        step.in.push_back(operand(rest));
        step.width += step.in.back().width;
        require(step.in.back().kind == step.kind && step.width <= kMostBytes, "parts that do not go together");
      }
      return;
    case Operation::kLookup:
      step.in.push_back(operand(rest));
      step.in.push_back(operand(rest));
      step.after = rest.next("width of a table", 1, step.in[1].width + 1);
      require(step.in[0].kind == Kind::kInt64 && step.in[1].kind == step.kind && step.in[1].constant, "a look-up");
      require(step.in[1].width % step.after == 0 && step.in[0].width <= kMostBytes / step.after, "a table's width");
      step.width = step.in[0].width * step.after;
      return;
    case Operation::kMatMul:
      step.in.push_back(operand(rest));
      step.in.push_back(operand(rest));
      if (const Operand bias = operand(rest); bias.slot != 0) step.in.push_back(bias);
      step.on = rest.next("inner width", 1, step.in[0].width + 1);
      step.after = rest.next("outer width", 1, step.in[1].width + 1);
      step.before = step.in[0].width / step.on;
      require(is_float(step.kind) && step.in[0].width % step.on == 0 && step.in[1].constant, "a product");
      for (const Operand& each : step.in) require(each.kind == step.kind, "a product of other types");
      require(step.in[1].width / step.after == step.on && step.in[1].width % step.after == 0, "a product's widths");
      require(step.in.size() == 2 || (step.in[2].width == step.after && step.in[2].constant), "a product's bias");
      require(step.before <= kMostBytes / step.after, "a product's size");
      step.width = step.before * step.after;
      return;
    case Operation::kReduce:
    case Operation::kArgMax:
    case Operation::kSoftmax:
      return check_axis(step, rest);
    default:
      return check_elements(step, rest);
  }
}

// Steps that take number by number.
void Plan::Program::check_elements(Step& step, Reader& rest) {
  size_t count = 1;
  if (step.operation == Operation::kUnary) {
    step.kind_of_operation = static_cast<int32_t>(rest.next("function", 0, static_cast<int64_t>(Unary::kCount)));
  } else if (step.operation == Operation::kBinary) {
    step.kind_of_operation = static_cast<int32_t>(rest.next("function", 0, static_cast<int64_t>(Binary::kCount)));
    count = 2;
  } else if (step.operation == Operation::kWhere) {
    count = 3;
  }
  for (size_t i = 0; i < count; ++i) {
    step.in.push_back(operand(rest));
    step.width = std::max(step.width, step.in.back().width);
  }
  for (const Operand& each : step.in) require(each.width == step.width || each.width == 1, "widths that differ");
  const Kind first = step.in[0].kind;
  if (step.operation == Operation::kUnary) {
    const auto function = static_cast<Unary>(step.kind_of_operation);
    const bool tests = function == Unary::kNot || function == Unary::kIsNaN;
    require(function == Unary::kNot ? first == Kind::kBool : is_float(first), "a function of another type");
    require(step.kind == (tests ? Kind::kBool : first), "a function's type");
    require(!step.in[0].constant, "a function of a constant");
  } else if (step.operation == Operation::kBinary) {
    const auto function = static_cast<Binary>(step.kind_of_operation);
    require(step.in[1].kind == first, "types that differ");
    if (function >= Binary::kLess) {
      require(step.kind == Kind::kBool && (function >= Binary::kAnd) == (first == Kind::kBool), "a comparison");
    } else {
      require(step.kind == first && (is_float(first) || (first == Kind::kInt64 && function <= Binary::kSub)), "a sum");
    }
  } else if (step.operation == Operation::kWhere) {
    require(first == Kind::kBool && step.in[1].kind == step.kind && step.in[2].kind == step.kind, "a choice");
  }
}

void Plan::Program::check_axis(Step& step, Reader& rest) {
  if (step.operation == Operation::kReduce)
    step.kind_of_operation = static_cast<int32_t>(rest.next("reduction", 0, static_cast<int64_t>(Reduction::kCount)));
  step.in.push_back(operand(rest));
  const int64_t width = step.in[0].width;
  step.before = rest.next("size before an axis", 1, width + 1);
  step.on = rest.next("size of an axis", 1, width / step.before + 1);
  if (step.operation != Operation::kSoftmax) step.after = rest.next("size after an axis", 1, width / step.before + 1);
  require(!step.in[0].constant && width % (step.before * step.on) == 0, "an axis");
  require(width / (step.before * step.on) == step.after, "an axis");
  const Kind kind = step.in[0].kind;
  if (step.operation == Operation::kReduce) {
    const bool means = step.kind_of_operation == static_cast<int32_t>(Reduction::kMean);
    require(step.kind == kind && (is_float(kind) || (kind == Kind::kInt64 && !means)), "a reduction's type");
  } else {
    require(is_float(kind) && step.kind == (step.operation == Operation::kArgMax ? Kind::kInt64 : kind), "types");
  }
  step.width = step.operation == Operation::kSoftmax ? width : step.before * step.after;
}

View Plan::Program::view(const Operand& operand, const void* rows, int64_t n_rows, const unsigned char* block) const {
  if (const Constant* constant = constant_of(operand)) return {constant->bytes.data(), 0};
  if (operand.slot == 0) return {rows, n_features};
  return {block + slots[operand.slot].offset * n_rows, operand.width};
}

const char* Plan::Program::run_block(const void* rows, int64_t n_rows, void* const* out, Parallel* parallel) const {
  thread_local std::vector<double> scratch;  // of doubles, for their alignment
  const size_t needed = static_cast<size_t>(row_bytes / 8 * n_rows);
  if (scratch.size() < needed) scratch.resize(needed);
  unsigned char* block = reinterpret_cast<unsigned char*>(scratch.data());
  thread_local std::vector<View> views;
  for (const Step& step : steps) {
    void* to = block + slots[step.slot].offset * n_rows;
    if (step.operation == Operation::kForest) {
      const View from = view(step.in[0], rows, n_rows, block);
      const auto score = [&](const auto& forest, auto* sums) {
        using T = std::remove_pointer_t<decltype(sums)>;
        const T* data = static_cast<const T*>(from.data);
        if (parallel) {
          forest.score(data, n_rows, from.stride, sums, nullptr, *parallel);
        } else {
          forest.score(data, n_rows, from.stride, sums, nullptr);
        }
      };
      if (step.kind == Kind::kFloat) {
        score(forests[step.forest], static_cast<float*>(to));
      } else {
        score(wide_forests[step.forest], static_cast<double*>(to));
      }
      continue;
    }
    views.clear();
    for (const Operand& each : step.in) views.push_back(view(each, rows, n_rows, block));
    if (!carry_out(step, views.data(), n_rows, to)) return "an index is outside its table";
  }
  for (size_t i = 0; i < answers.size(); ++i) {
    if (!out[i]) continue;
    const Answer& answer = answers[i];
    const size_t n_bytes = static_cast<size_t>(n_rows * answer.width) * size_of(answer.kind);
    std::memcpy(out[i], block + slots[answer.slot].offset * n_rows, n_bytes);
  }
  return nullptr;
}

const char* Plan::run(const void* rows, int64_t n_rows, void* const* out, Parallel& parallel) const {
  const Program& program = *program_;
  const int64_t fitting = std::max<int64_t>(1, kScratch / program.row_bytes);
  if (n_rows <= std::min(kFew, fitting)) return program.run_block(rows, n_rows, out, &parallel);

  const int64_t row_size = program.n_features * static_cast<int64_t>(size_of(program.slots[0].kind));
  const int64_t block = std::min(kBlock, fitting);
  std::atomic<const char*> failure{nullptr};
  run_all(parallel, static_cast<size_t>((n_rows + block - 1) / block), [&](size_t index) {
    const int64_t first = static_cast<int64_t>(index) * block;
    void* part[64] = {};
    for (size_t i = 0; i < program.answers.size(); ++i) {
      const Answer& answer = program.answers[i];
      if (out[i])
        part[i] =
            static_cast<unsigned char*>(out[i]) + first * answer.width * static_cast<int64_t>(size_of(answer.kind));
    }
    const void* rows_of_part = static_cast<const unsigned char*>(rows) + first * row_size;
    if (const char* found = program.run_block(rows_of_part, std::min(block, n_rows - first), part, nullptr))
      failure = found;
  });
  return failure;
}

}  // namespace glulam
