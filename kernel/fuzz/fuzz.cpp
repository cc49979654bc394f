// Random and broken models against the library, through its C ABI. See run.sh.
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "check.h"
#include "fake_ort.h"

namespace {

constexpr int kMostFailures = 10;
constexpr unsigned kSecondsPerModel = 120;

volatile uint64_t current = 0;

// Sanitizers end the process by abort: say at which model.
void say_where(int) {
  char text[96] = "\nat model ";
  size_t at = std::strlen(text);
  char digits[24];
  size_t n = 0;
  uint64_t left = current;
  do digits[n++] = static_cast<char>('0' + left % 10);
  while ((left /= 10) > 0);
  while (n > 0) text[at++] = digits[--n];
  text[at++] = '\n';
  if (write(STDERR_FILENO, text, at) < 0) _exit(3);
  _exit(2);
}

int64_t number(const char* text, const char* name) {
  char* end = nullptr;
  const int64_t value = std::strtoll(text, &end, 10);
  if (*text && !*end && value >= 0) return value;
  std::fprintf(stderr, "fuzz: %s: expected a whole number, got '%s'\n", name, text);
  std::exit(64);
}

}  // namespace

int main(int argc, char** argv) {
  using namespace glulam::fuzz;
  int64_t seed = 1, models = 1000, rows = 100, runtime = 31;
  bool threads = false, show = false;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--threads") {
      threads = true;
    } else if (name == "--show") {
      show = true;
    } else if (i + 1 < argc && (name == "--seed" || name == "--models" || name == "--rows" || name == "--runtime")) {
      const int64_t value = number(argv[++i], name.c_str());
      (name == "--seed" ? seed : name == "--models" ? models : name == "--rows" ? rows : runtime) = value;
    } else {
      std::fprintf(stderr,
                   "usage: fuzz [--seed FIRST] [--models HOW_MANY] [--rows ABOUT_PER_MODEL] [--runtime MINOR_VERSION] "
                   "[--threads] [--show]\n");
      return 64;
    }
  }
  std::signal(SIGABRT, say_where);
  std::signal(SIGALRM, say_where);
  start_runtime(static_cast<int>(runtime));
  Counts counts;
  int failures = 0;
  for (int64_t i = 0; i < models && failures < kMostFailures; ++i) {
    current = static_cast<uint64_t>(seed + i);
    alarm(kSecondsPerModel);
    if (show) std::printf("%s", describe(current).c_str());
    const std::string wrong = threads ? check_threads(current, rows, counts) : check_model(current, rows, counts);
    if (wrong.empty()) continue;
    ++failures;
    std::printf("model %lld: %s\n", static_cast<long long>(current), wrong.c_str());
    std::printf("  again: fuzz --seed %lld --models 1 --rows %lld --runtime %lld%s --show\n",
                static_cast<long long>(current), static_cast<long long>(rows), static_cast<long long>(runtime),
                threads ? " --threads" : "");
    std::fflush(stdout);
  }
  alarm(0);
  std::printf(
      "%lld models (%lld accepted, %lld refused, %lld without an operator), %lld rows (%lld against the "
      "reference), %lld with failures asked for, %d failures\n",
      static_cast<long long>(counts.models), static_cast<long long>(counts.accepted),
      static_cast<long long>(counts.refused), static_cast<long long>(counts.unserved),
      static_cast<long long>(counts.rows), static_cast<long long>(counts.compared),
      static_cast<long long>(counts.failures_asked), failures);
  std::fflush(stdout);  // before a leak ends the process
  return failures == 0 ? 0 : 1;
}
