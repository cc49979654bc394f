// The operators of domain ai.glulam: a whole ensemble in one node.
#pragma once

#include <vector>

#include "operators.h"

namespace glulam {

// One operator for each set of types that ensembles take and give; their names are those that `_fused.py` writes.
std::vector<const OrtCustomOp*> fused_operators(const Api& api);

}  // namespace glulam
