// The arithmetic is that of the standard nodes, in their order and precision, but for Exp, Log, Sigmoid, Tanh and
// Softmax: onnxruntime approximates these, here they are taken from the C library.
#include "fused_steps.h"

#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

namespace glulam {

namespace {

using Bool = uint8_t;

template <typename T, typename R, typename F>
void each(const View& a, int64_t width, int64_t n_rows, R* out, F f) {
  const T* x = static_cast<const T*>(a.data);
  if (a.stride == width) {
    for (int64_t i = 0; i < n_rows * width; ++i) out[i] = f(x[i]);
    return;
  }
  for (int64_t row = 0; row < n_rows; ++row, x += a.stride, out += width)
    for (int64_t i = 0; i < width; ++i) out[i] = f(x[i]);
}

// An operand of one number a row is taken for each number of the others.
int64_t pace(const Operand& operand, int64_t width) { return operand.width == width ? 1 : 0; }

template <typename T, typename R, typename F>
void pairs(const Step& step, const View* in, int64_t n_rows, R* out, F f) {
  const T *a = static_cast<const T*>(in[0].data), *b = static_cast<const T*>(in[1].data);
  const int64_t width = step.width;
  if (in[0].stride == width && in[1].stride == width) {
    for (int64_t i = 0; i < n_rows * width; ++i) out[i] = f(a[i], b[i]);
    return;
  }
  const int64_t pace_a = pace(step.in[0], width), pace_b = pace(step.in[1], width);
  for (int64_t row = 0; row < n_rows; ++row, a += in[0].stride, b += in[1].stride, out += width)
    for (int64_t i = 0; i < width; ++i) out[i] = f(a[i * pace_a], b[i * pace_b]);
}

template <typename T>
void unary_number(Unary kind, const View& in, int64_t width, int64_t n_rows, void* result) {
  T* out = static_cast<T*>(result);
  const auto run = [&](auto f) { each<T>(in, width, n_rows, out, f); };
  switch (kind) {
    case Unary::kNeg:
      return run([](T x) { return -x; });
    case Unary::kAbs:
      return run([](T x) { return std::fabs(x); });
    case Unary::kFloor:
      return run([](T x) { return std::floor(x); });
    case Unary::kCeil:
      return run([](T x) { return std::ceil(x); });
    case Unary::kSqrt:
      return run([](T x) { return std::sqrt(x); });
    case Unary::kReciprocal:
      return run([](T x) { return T(1) / x; });
    case Unary::kExp:
      return run([](T x) { return std::exp(x); });
    case Unary::kLog:
      return run([](T x) { return std::log(x); });
    // In float64, so that neither end loses digits.
    case Unary::kSigmoid:
      return run([](T x) { return static_cast<T>(1.0 / (1.0 + std::exp(-static_cast<double>(x)))); });
    case Unary::kTanh:
      return run([](T x) { return std::tanh(x); });
    case Unary::kRelu:
      return run([](T x) { return x < T(0) ? T(0) : x; });
    default:
      return;
  }
}

template <typename T>
void unary_test(const View& in, int64_t width, int64_t n_rows, void* out) {
  each<T>(in, width, n_rows, static_cast<Bool*>(out), [](T x) { return static_cast<Bool>(x != x); });
}

template <typename T>
void binary_number(Binary kind, const Step& step, const View* in, int64_t n_rows, void* result) {
  T* out = static_cast<T*>(result);
  const auto run = [&](auto f) { pairs<T>(step, in, n_rows, out, f); };
  switch (kind) {
    case Binary::kAdd:
      return run([](T a, T b) { return a + b; });
    case Binary::kSub:
      return run([](T a, T b) { return a - b; });
    case Binary::kMul:
      return run([](T a, T b) { return a * b; });
    case Binary::kDiv:
      return run([](T a, T b) { return a / b; });
    // A NaN on either side is the result.
    case Binary::kMax:
      return run([](T a, T b) { return a != a || a > b ? a : b; });
    case Binary::kMin:
      return run([](T a, T b) { return a != a || a < b ? a : b; });
    default:
      return;
  }
}

template <typename T>
void binary_test(Binary kind, const Step& step, const View* in, int64_t n_rows, void* result) {
  Bool* out = static_cast<Bool*>(result);
  const auto run = [&](auto f) { pairs<T>(step, in, n_rows, out, f); };
  switch (kind) {
    case Binary::kLess:
      return run([](T a, T b) { return static_cast<Bool>(a < b); });
    case Binary::kLessOrEqual:
      return run([](T a, T b) { return static_cast<Bool>(a <= b); });
    case Binary::kGreater:
      return run([](T a, T b) { return static_cast<Bool>(a > b); });
    case Binary::kGreaterOrEqual:
      return run([](T a, T b) { return static_cast<Bool>(a >= b); });
    case Binary::kEqual:
      return run([](T a, T b) { return static_cast<Bool>(a == b); });
    case Binary::kAnd:
      return run([](T a, T b) { return static_cast<Bool>((a != T(0)) & (b != T(0))); });
    case Binary::kOr:
      return run([](T a, T b) { return static_cast<Bool>((a != T(0)) | (b != T(0))); });
    case Binary::kXor:
      return run([](T a, T b) { return static_cast<Bool>((a != T(0)) != (b != T(0))); });
    default:
      return;
  }
}

template <typename T>
void where(const Step& step, const View* in, int64_t n_rows, void* result) {
  const Bool* test = static_cast<const Bool*>(in[0].data);
  const T *yes = static_cast<const T*>(in[1].data), *no = static_cast<const T*>(in[2].data);
  const int64_t width = step.width;
  const int64_t pace_test = pace(step.in[0], width), pace_yes = pace(step.in[1], width),
                pace_no = pace(step.in[2], width);
  T* out = static_cast<T*>(result);
  for (int64_t row = 0; row < n_rows; ++row, out += width) {
    for (int64_t i = 0; i < width; ++i) out[i] = test[i * pace_test] ? yes[i * pace_yes] : no[i * pace_no];
    test += in[0].stride;
    yes += in[1].stride;
    no += in[2].stride;
  }
}

template <typename R, typename T>
R cast_one(T x) {
  if constexpr (std::is_same_v<R, Bool>) {
    return static_cast<Bool>(x != T(0));
  } else if constexpr (std::is_same_v<R, int64_t> && std::is_floating_point_v<T>) {
    // What the processor gives for numbers that have no int64.
    return x >= T(-9223372036854775808.0) && x < T(9223372036854775808.0) ? static_cast<int64_t>(x)
                                                                          : std::numeric_limits<int64_t>::min();
  } else {
    return static_cast<R>(x);
  }
}

template <typename T>
void cast(const Step& step, const View& in, int64_t n_rows, void* out) {
  const auto run = [&](auto* to) {
    using R = std::remove_pointer_t<decltype(to)>;
    each<T>(in, step.width, n_rows, to, cast_one<R, T>);
  };
  switch (step.kind) {
    case Kind::kFloat:
      return run(static_cast<float*>(out));
    case Kind::kDouble:
      return run(static_cast<double*>(out));
    case Kind::kInt64:
      return run(static_cast<int64_t*>(out));
    case Kind::kBool:
      return run(static_cast<Bool*>(out));
  }
}

template <typename T>
void take(const Step& step, const View& in, int64_t n_rows, void* result) {
  const T* x = static_cast<const T*>(in.data);
  T* out = static_cast<T*>(result);
  for (int64_t row = 0; row < n_rows; ++row, x += in.stride)
    for (int64_t column : step.columns) *out++ = x[column];
}

template <typename T>
void concat(const Step& step, const View* in, int64_t n_rows, void* result) {
  T* out = static_cast<T*>(result);
  for (size_t part = 0; part < step.in.size(); ++part) {
    const T* x = static_cast<const T*>(in[part].data);
    const int64_t width = step.in[part].width;
    T* to = out;
    for (int64_t row = 0; row < n_rows; ++row, x += in[part].stride, to += step.width)
      for (int64_t i = 0; i < width; ++i) to[i] = x[i];
    out += width;
  }
}

// `after` is the width of the table's rows.
template <typename T>
bool lookup(const Step& step, const View* in, int64_t n_rows, void* result) {
  const int64_t* index = static_cast<const int64_t*>(in[0].data);
  const T* table = static_cast<const T*>(in[1].data);
  const int64_t n_indices = step.in[0].width, width = step.after, length = step.in[1].width / width;
  T* out = static_cast<T*>(result);
  for (int64_t row = 0; row < n_rows; ++row, index += in[0].stride) {
    for (int64_t i = 0; i < n_indices; ++i, out += width) {
      const int64_t at = index[i] < 0 ? index[i] + length : index[i];
      if (at < 0 || at >= length) return false;
      for (int64_t k = 0; k < width; ++k) out[k] = table[at * width + k];
    }
  }
  return true;
}

// Each number of the result adds up its products in the order of the inner axis, and then the bias.
template <typename T>
void matmul(const Step& step, const View* in, int64_t n_rows, void* result) {
  const T *x = static_cast<const T*>(in[0].data), *weight = static_cast<const T*>(in[1].data);
  const T* bias = step.in.size() == 3 ? static_cast<const T*>(in[2].data) : nullptr;
  const int64_t outer = step.before, inner = step.on, width = step.after;
  T* out = static_cast<T*>(result);
  for (int64_t row = 0; row < n_rows; ++row, x += in[0].stride) {
    for (int64_t i = 0; i < outer; ++i, out += width) {
      for (int64_t k = 0; k < width; ++k) out[k] = T(0);
      for (int64_t j = 0; j < inner; ++j) {
        const T factor = x[i * inner + j];
        for (int64_t k = 0; k < width; ++k) out[k] += factor * weight[j * width + k];
      }
      for (int64_t k = 0; bias && k < width; ++k) out[k] += bias[k];
    }
  }
}

template <typename T, typename F>
void fold(const Step& step, const View& in, int64_t n_rows, T* out, F f) {
  const T* x = static_cast<const T*>(in.data);
  for (int64_t row = 0; row < n_rows; ++row, x += in.stride) {
    for (int64_t i = 0; i < step.before; ++i) {
      const T* from = x + i * step.on * step.after;
      for (int64_t k = 0; k < step.after; ++k) {
        T total = from[k];
        for (int64_t j = 1; j < step.on; ++j) total = f(total, from[j * step.after + k]);
        *out++ = total;
      }
    }
  }
}

template <typename T>
void reduce(const Step& step, const View& in, int64_t n_rows, void* result) {
  T* out = static_cast<T*>(result);
  switch (static_cast<Reduction>(step.kind_of_operation)) {
    case Reduction::kMax:
      return fold<T>(step, in, n_rows, out, [](T a, T b) { return b > a ? b : a; });
    case Reduction::kMin:
      return fold<T>(step, in, n_rows, out, [](T a, T b) { return b < a ? b : a; });
    default:
      break;
  }
  if constexpr (std::is_floating_point_v<T>) {
    fold<T>(step, in, n_rows, out, [](T a, T b) { return a + b; });
    if (static_cast<Reduction>(step.kind_of_operation) == Reduction::kMean)
      for (int64_t i = 0; i < n_rows * step.width; ++i) out[i] /= static_cast<T>(step.on);
  } else {  // of whole numbers sums alone, which wrap
    fold<T>(step, in, n_rows, out,
            [](T a, T b) { return static_cast<T>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b)); });
  }
}

// The first of the largest.
template <typename T>
void arg_max(const Step& step, const View& in, int64_t n_rows, void* result) {
  const T* x = static_cast<const T*>(in.data);
  int64_t* out = static_cast<int64_t*>(result);
  for (int64_t row = 0; row < n_rows; ++row, x += in.stride) {
    for (int64_t i = 0; i < step.before; ++i) {
      const T* from = x + i * step.on * step.after;
      for (int64_t k = 0; k < step.after; ++k) {
        int64_t best = 0;
        for (int64_t j = 1; j < step.on; ++j)
          if (from[j * step.after + k] > from[best * step.after + k]) best = j;
        *out++ = best;
      }
    }
  }
}

template <typename T>
void softmax(const Step& step, const View& in, int64_t n_rows, void* result) {
  const T* x = static_cast<const T*>(in.data);
  T* out = static_cast<T*>(result);
  for (int64_t row = 0; row < n_rows; ++row, x += in.stride) {
    for (int64_t i = 0; i < step.before; ++i, out += step.on) {
      const T* from = x + i * step.on;
      T most = from[0];
      for (int64_t j = 1; j < step.on; ++j) most = from[j] > most ? from[j] : most;
      T total = 0;
      for (int64_t j = 0; j < step.on; ++j) total += out[j] = std::exp(from[j] - most);
      for (int64_t j = 0; j < step.on; ++j) out[j] /= total;
    }
  }
}

// Calls f with a number of the type that `kind` means.
template <typename F>
auto with_type(Kind kind, F f) {
  switch (kind) {
    case Kind::kFloat:
      return f(float());
    case Kind::kDouble:
      return f(double());
    case Kind::kInt64:
      return f(int64_t());
    default:
      return f(Bool());
  }
}

// The same for float and double; what is neither never comes here.
template <typename F>
void with_float(Kind kind, F f) {
  kind == Kind::kFloat ? f(float()) : f(double());
}

void unary(const Step& step, const View& in, int64_t n_rows, void* out) {
  const auto kind = static_cast<Unary>(step.kind_of_operation);
  if (kind == Unary::kNot) {
    each<Bool>(in, step.width, n_rows, static_cast<Bool*>(out), [](Bool x) { return static_cast<Bool>(!x); });
    return;
  }
  with_float(step.in[0].kind, [&](auto type) {
    using T = decltype(type);
    kind == Unary::kIsNaN ? unary_test<T>(in, step.width, n_rows, out)
                          : unary_number<T>(kind, in, step.width, n_rows, out);
  });
}

void binary(const Step& step, const View* in, int64_t n_rows, void* out) {
  const auto kind = static_cast<Binary>(step.kind_of_operation);
  if (kind >= Binary::kLess) {
    with_type(step.in[0].kind, [&](auto type) { binary_test<decltype(type)>(kind, step, in, n_rows, out); });
  } else if (step.kind == Kind::kInt64) {  // sums and differences alone, which wrap
    const uint64_t sign = kind == Binary::kSub ? ~uint64_t{0} : 1;
    pairs<int64_t>(step, in, n_rows, static_cast<int64_t*>(out), [sign](int64_t a, int64_t b) {
      return static_cast<int64_t>(static_cast<uint64_t>(a) + sign * static_cast<uint64_t>(b));
    });
  } else {
    with_float(step.kind, [&](auto type) { binary_number<decltype(type)>(kind, step, in, n_rows, out); });
  }
}

}  // namespace

bool carry_out(const Step& step, const View* in, int64_t n_rows, void* out) {
  const auto any = [&](auto f) { with_type(step.in[0].kind, f); };
  const auto real = [&](auto f) { with_float(step.in[0].kind, f); };
  switch (step.operation) {
    case Operation::kTake:
      any([&](auto t) { take<decltype(t)>(step, in[0], n_rows, out); });
      break;
    case Operation::kConcat:
      any([&](auto t) { concat<decltype(t)>(step, in, n_rows, out); });
      break;
    case Operation::kLookup:
      return with_type(step.kind, [&](auto t) { return lookup<decltype(t)>(step, in, n_rows, out); });
    case Operation::kUnary:
      unary(step, in[0], n_rows, out);
      break;
    case Operation::kBinary:
      binary(step, in, n_rows, out);
      break;
    case Operation::kWhere:
      with_type(step.kind, [&](auto t) { where<decltype(t)>(step, in, n_rows, out); });
      break;
    case Operation::kCast:
      any([&](auto t) { cast<decltype(t)>(step, in[0], n_rows, out); });
      break;
    case Operation::kMatMul:
      real([&](auto t) { matmul<decltype(t)>(step, in, n_rows, out); });
      break;
    case Operation::kReduce:
      any([&](auto t) { reduce<decltype(t)>(step, in[0], n_rows, out); });
      break;
    case Operation::kArgMax:
      real([&](auto t) { arg_max<decltype(t)>(step, in[0], n_rows, out); });
      break;
    case Operation::kSoftmax:
      real([&](auto t) { softmax<decltype(t)>(step, in[0], n_rows, out); });
      break;
    default:
      break;
  }
  return true;
}

}  // namespace glulam
