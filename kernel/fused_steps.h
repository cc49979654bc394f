// A plan's instructions once they are checked, and how one is carried out.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "forest.h"
#include "fused_plan.h"

namespace glulam {

// The numbers of operations, and of the kinds of some, as `_plan.py` writes them.
enum class Operation : int32_t {
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
  kSoftmax,
  kCount
};  // clang-format keeps such lists short
enum class Unary : int32_t {
  kNeg,
  kAbs,
  kFloor,
  kCeil,
  kSqrt,
  kReciprocal,
  kExp,
  kLog,
  kSigmoid,
  kTanh,
  kRelu,
  kNot,
  kIsNaN,
  kCount
};
enum class Binary : int32_t {
  kAdd,
  kSub,
  kMul,
  kDiv,
  kMax,
  kMin,
  kLess,
  kLessOrEqual,
  kGreater,
  kGreaterOrEqual,
  kEqual,
  kAnd,
  kOr,
  kXor,
  kCount
};
enum class Reduction : int32_t { kSum, kMean, kMax, kMin, kCount };

// What an instruction reads: numbers a row, and numbers from one row to the next (0 for a constant).
struct Operand {
  int64_t slot = 0;
  Kind kind = Kind::kFloat;
  int64_t width = 0;
  bool constant = false;
};

struct Step {
  Operation operation = Operation::kTake;
  int32_t kind_of_operation = 0;
  Kind kind = Kind::kFloat;  // of the result
  int64_t width = 0;         // of the result
  int64_t slot = 0;          // of the result
  std::vector<Operand> in;
  std::vector<int64_t> columns;           // of kTake
  int64_t before = 1, on = 1, after = 1;  // the numbers before, on and after an axis
  size_t forest = 0;                      // of kForest, among those of its type
};

// Where the operands of a step and its result are, for one block of rows.
struct View {
  const void* data;
  int64_t stride;  // numbers from one row to the next
};

// Carries out any step but a forest. False where a look-up is outside its table.
bool carry_out(const Step& step, const View* in, int64_t n_rows, void* out);

}  // namespace glulam
