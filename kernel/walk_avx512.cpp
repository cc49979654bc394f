// The walk for x86 processors with AVX-512.
#include "walk.h"

#ifdef GLULAM_X86
#define GLULAM_AVX512
#include <immintrin.h>

#ifdef __clang__
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,bmi,bmi2"))), \
                             apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512vl,avx512bw,avx512dq,bmi,bmi2")
#endif

namespace glulam {
namespace {
#include "walk.inc"
}  // namespace

template <>
const Walk<float>& avx512_walk() {
  return kWalk<float>;
}
template <>
const Walk<double>& avx512_walk() {
  return kWalk<double>;
}

}  // namespace glulam

#ifdef __clang__
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif

#endif
