#include <algorithm>

#include "model.h"

namespace glulam::fuzz {

namespace {

// The plan's operations and how many kinds there are of some, by their numbers.
enum Operation : int64_t {
  kForest,
  kTake,
  kConcat,
  kLookup,
  kUnary,
  kBinary,
  kWhere,
  kCast,
  kMatMul,
  kReduce,
  kArgMax,
  kSoftmax
};
constexpr int64_t kArithmetic = 13, kNot = 11, kIsNaN = 12, kFirstTest = 6, kBinaries = 14, kReductions = 4;
constexpr int64_t kMostWidth = 64;

struct Slot {
  Type type;
  int64_t width;
};

// Grows a plan, one instruction after another, each on slots that are there.
class Plan {
 public:
  Plan(Model& model, Random& random) : model_(model), random_(random), slots_{{model.input, model.n_columns}} {}

  void forests(int64_t on) {
    const Slot from = slots_[static_cast<size_t>(on)];
    const int64_t count = random_.one_in(2) ? 1 : random_.between(2, 4);
    const bool alike = random_.one_in(2);
    const uint64_t seed = random_.next();
    for (int64_t i = 0; i < count; ++i)
      add_forest(model_, "t" + std::to_string(n_forests_ + i) + "_", from.type == Type::kDouble, from.width,
                 alike ? seed : random_.next(), random_);
    emit(kForest, {from.type, count}, {on, n_forests_, count});
    n_forests_ += count;
  }

  void any() {
    const int64_t a = slot();
    const Slot of = slots_[static_cast<size_t>(a)];
    const bool real = of.type == Type::kFloat || of.type == Type::kDouble;
    const Slot one = {of.type, 1}, test = {Type::kBool, of.width};
    switch (random_.below(11)) {
      case 0: {
        std::vector<int64_t> rest = {a};
        for (int64_t i = random_.between(1, 6); i > 0; --i) rest.push_back(random_.between(0, of.width - 1));
        emit(kTake, {of.type, static_cast<int64_t>(rest.size()) - 1}, rest);
        return;
      }
      case 1: {
        const int64_t b = like(a);
        const int64_t width = of.width + slots_[static_cast<size_t>(b)].width;
        if (width <= kMostWidth) emit(kConcat, {of.type, width}, {a, b});
        return;
      }
      case 2:
        if (of.type == Type::kInt64) emit(kLookup, {Type::kFloat, of.width}, {a, constant({Type::kFloat, 50}), 1});
        return;
      case 3:
        if (real) {
          const int64_t function = random_.between(0, kArithmetic - 1);
          if (function != kNot) emit(kUnary, function == kIsNaN ? test : of, {function, a});
        } else if (of.type == Type::kBool) {
          emit(kUnary, of, {kNot, a});
        }
        return;
      case 4: {
        const int64_t function = random_.between(0, kBinaries - 1),
                      b = random_.one_in(2) ? a : constant(random_.one_in(2) ? one : of);
        const bool logic = function >= 11, tests = function >= kFirstTest;
        if (logic != (of.type == Type::kBool) || (!real && !tests && function > 1)) return;
        emit(kBinary, tests ? test : of, {function, a, b});
        return;
      }
      case 5:
        if (of.type == Type::kBool)
          emit(kWhere, {Type::kFloat, of.width}, {a, constant({Type::kFloat, of.width}), constant({Type::kFloat, 1})});
        return;
      case 6: {
        const std::vector<Type> types = {Type::kFloat, Type::kDouble, Type::kInt64, Type::kBool};
        emit(kCast, {random_.pick(types), of.width}, {a});
        return;
      }
      case 7:
        if (real) {
          const int64_t after = random_.between(1, 4);
          emit(kMatMul, {of.type, after},
               {a, constant({of.type, of.width * after}), random_.one_in(2) ? 0 : constant({of.type, after}), of.width,
                after});
        }
        return;
      case 8:
        if (real) emit(kReduce, one, {random_.between(0, kReductions - 1), a, 1, of.width, 1});
        return;
      case 9:
        if (real) emit(kArgMax, {Type::kInt64, 1}, {a, 1, of.width, 1});
        return;
      default:
        if (real) emit(kSoftmax, of, {a, 1, of.width});
    }
  }

  // Takes the last slots of fitting types as answers, and gives the model its operator's name.
  void finish() {
    std::string name = model_.input == Type::kDouble ? "EnsembleDouble" : "EnsembleFloat";
    std::vector<int64_t> answers;
    const auto take = [&](Type type, const char* part) {
      for (size_t i = slots_.size(); i-- > 1;)
        if (slots_[i].type == type) {
          answers.push_back(static_cast<int64_t>(i));
          name += part;
          return;
        }
    };
    if (random_.one_in(2)) take(Type::kInt64, "Label");
    if (random_.one_in(2)) take(Type::kBool, "Valid");
    const Type numbers = slots_[1].type;
    for (size_t i = 1; i < slots_.size() && answers.size() < 10; ++i)
      if (slots_[i].type == numbers && (i == 1 || random_.one_in(2))) answers.push_back(static_cast<int64_t>(i));
    name += numbers == Type::kDouble ? "Double" : "Float";
    std::vector<int64_t> plan = {1, model_.n_columns, n_constants_, n_forests_, static_cast<int64_t>(answers.size())};
    for (const int64_t answer : answers) {
      const int64_t width = slots_[static_cast<size_t>(answer)].width;
      if (width == 1 && random_.one_in(2))
        plan.insert(plan.end(), {answer, 0});
      else
        plan.insert(plan.end(), {answer, 1, width});
    }
    plan.insert(plan.end(), instructions_.begin(), instructions_.end());
    model_.op = name;
    model_.attributes["plan"] = plan;
  }

 private:
  void emit(Operation operation, Slot made, const std::vector<int64_t>& rest) {
    instructions_.insert(instructions_.end(),
                         {operation, static_cast<int64_t>(rest.size()) + 1, static_cast<int64_t>(made.type)});
    instructions_.insert(instructions_.end(), rest.begin(), rest.end());
    slots_.push_back(made);
  }

  int64_t slot() { return static_cast<int64_t>(random_.below(slots_.size())); }

  int64_t like(int64_t other) {
    const int64_t found = slot();
    return slots_[static_cast<size_t>(found)].type == slots_[static_cast<size_t>(other)].type ? found : other;
  }

  int64_t constant(Slot of) {
    const auto count = static_cast<size_t>(of.width);
    std::vector<double> reals(count);
    for (double& value : reals) value = static_cast<double>(random_.between(-3, 3)) / 2;
    Tensor tensor;
    if (of.type == Type::kDouble)
      tensor = Tensor::of(of.type, reals);
    else if (of.type == Type::kFloat)
      tensor = Tensor::of(of.type, std::vector<float>(reals.begin(), reals.end()));
    else if (of.type == Type::kInt64)
      tensor = Tensor::of(of.type, std::vector<int64_t>(count, random_.between(-3, 3)));
    else
      tensor = Tensor::of(of.type, std::vector<uint8_t>(count, static_cast<uint8_t>(random_.below(2))));
    model_.attributes["c" + std::to_string(n_constants_)] = tensor;
    return -1 - n_constants_++;
  }

  Model& model_;
  Random& random_;
  std::vector<Slot> slots_;
  std::vector<int64_t> instructions_;
  int64_t n_forests_ = 0, n_constants_ = 0;
};

}  // namespace

Model generate_fused(Random& random) {
  Model model;
  model.input = random.one_in(3) ? Type::kDouble : Type::kFloat;
  model.n_columns = random.between(1, 12);
  Plan plan(model, random);
  plan.forests(0);
  if (random.one_in(3)) plan.forests(random.one_in(2) ? 0 : 1);
  if (!random.one_in(3))
    for (int64_t i = random.between(1, 12); i > 0; --i) plan.any();
  plan.finish();
  return model;
}

}  // namespace glulam::fuzz
