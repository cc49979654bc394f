// The walk for any processor.
#include "walk.h"

namespace glulam {
namespace {
#include "walk.inc"
}  // namespace

template <>
const Walk<float>& portable_walk() {
  return kWalk<float>;
}
template <>
const Walk<double>& portable_walk() {
  return kWalk<double>;
}

}  // namespace glulam
