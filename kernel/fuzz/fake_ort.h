// A stand-in for onnxruntime: fills the slots of its C API that the library uses, so that the library's own entry
// points run as they do in a session, and counts what it hands out, so that nothing stays unreleased.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "../ort_abi.h"
#include "model.h"

namespace glulam::fuzz {

// Makes the runtime be version 1.`minor`, and lets the library register its operators. Once a process.
void start_runtime(int minor);

// The operators that the library registered for a name and an opset version of ai.onnx.ml or of its own domain.
std::vector<const OrtCustomOp*> registered(const std::string& name);

// Statuses, values, shapes and blocks that were handed out and not given back, on all threads.
int64_t outstanding();

// How ParallelFor runs its tasks: in random order on so many threads.
struct Threads {
  int count = 1;
  uint64_t seed = 0;
};

// What one call answered: an error, or the outputs.
struct Answer {
  std::string error;
  std::vector<Tensor> outputs;
};

// A kernel of the library, made as onnxruntime makes it.
class Kernel {
 public:
  // `error` takes why there is none; empty if there is one. Behind fences, all that it reads is fenced memory.
  Kernel(const OrtCustomOp* op, const Attributes& attributes, std::string& error, bool behind_fences = false);
  ~Kernel();
  Kernel(const Kernel&) = delete;
  Kernel& operator=(const Kernel&) = delete;

  Answer run(const Tensor& rows, const Threads& threads) const;

 private:
  const OrtCustomOp* op_;
  const bool behind_fences_;
  void* kernel_ = nullptr;
};

}  // namespace glulam::fuzz
