// What the library exports.
//
// RegisterCustomOps is what onnxruntime calls in a library of custom operators. Its domain ai.onnx.ml is the
// standard one: the operators in it take the place of the runtime's own, in the sessions of these options alone.
#include <cstdio>
#include <mutex>
#include <utility>
#include <vector>

#include "fused.h"
#include "operators.h"
#include "ort_abi.h"

#ifdef _WIN32
#define GLULAM_EXPORT extern "C" __declspec(dllexport)
#else
#define GLULAM_EXPORT extern "C" __attribute__((visibility("default")))
#endif

namespace glulam {
namespace {

constexpr struct {
  const char* domain;
  MakeOperators make;
} kDomains[] = {{"ai.onnx.ml", standard_operators}, {"ai.glulam", fused_operators}};

// The domains as one runtime knows them, those that are only offered apart. Sessions hold pointers to them without
// owning them, so they stay until the process ends.
struct Registered {
  const OrtApi* table;
  bool offered;
  std::vector<OrtCustomOpDomain*> domains;
};

OrtStatus* make_domains(const Api& api, std::vector<OrtCustomOpDomain*>& domains) {
  for (const auto& entry : kDomains) {
    OrtCustomOpDomain* domain = nullptr;
    if (OrtStatus* status = api.CreateCustomOpDomain(entry.domain, &domain)) return status;
    domains.push_back(domain);
    for (const OrtCustomOp* op : entry.make(api))
      if (OrtStatus* status = api.CustomOpDomain_Add(domain, op)) return status;
  }
  return nullptr;
}

OrtStatus* add_domains(OrtSessionOptions* options, const OrtApi* table, const Api& api) {
  static std::mutex mutex;
  static std::vector<Registered> known;  // of one runtime, as a rule
  const std::lock_guard<std::mutex> lock(mutex);
  const bool offered = shown >= Show::kOffered;
  const Registered* registered = nullptr;
  for (const Registered& other : known)
    if (other.table == table && other.offered == offered) registered = &other;
  if (!registered) {
    Registered made{table, offered, {}};
    if (OrtStatus* status = make_domains(api, made.domains)) return status;
    known.push_back(std::move(made));
    registered = &known.back();
  }
  for (OrtCustomOpDomain* domain : registered->domains)
    if (OrtStatus* status = api.AddCustomOpDomain(options, domain)) return status;
  return nullptr;
}

}  // namespace
}  // namespace glulam

GLULAM_EXPORT OrtStatus* RegisterCustomOps(OrtSessionOptions* options, const OrtApiBase* base) {
  using namespace glulam;
  // The version that the oldest runtime taken here knows, so that any runtime can at least say what is wrong.
  const char* version = base->GetVersionString();
  const int minor = runtime_minor(version);
  const OrtApi* oldest = base->GetApi(1);
  if (minor < kOldestRuntime) {
    char message[160];  // nothing may be thrown from here
    std::snprintf(message, sizeof(message),
                  "glulam: onnxruntime %.40s is not supported; the library needs 1.%d or newer of major version 1",
                  version ? version : "of unknown version", kOldestRuntime);
    const auto create = oldest ? reinterpret_cast<decltype(Api::CreateStatus)>(oldest->slots[kCreateStatus]) : nullptr;
    return create ? create(ErrorCode::kNotImplemented, message) : nullptr;
  }
  const OrtApi* table = base->GetApi(static_cast<uint32_t>(minor));
  if (!table) table = oldest;
  const Api api = api_of(table, minor);
  try {
    return add_domains(options, table, api);
  } catch (...) {
    return status_of_exception(api, "registration");
  }
}

// How many kernels of this library were created on the calling thread so far: whether a session uses any.
GLULAM_EXPORT int64_t glulam_kernels() { return glulam::kernels_created; }

// Which operators the sessions find that are made on the calling thread from here on: 0, as at first, those of
// options on which the library was registered under 0; 1, those and the ones of options on which it was registered
// under 1; 2, as 1, for models whose labels are texts, and none whose labels are numbers; -1, none. Nothing takes a
// library from options again, so this is how one session can be made without it.
GLULAM_EXPORT void glulam_show(int what) {
  using glulam::Show;
  constexpr Show kKnown[] = {Show::kNone, Show::kRegistered, Show::kOffered, Show::kTexts};
  glulam::shown = kKnown[what < 0 ? 0 : what > 2 ? 3 : what + 1];
}
