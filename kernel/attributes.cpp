#include "attributes.h"

#include <cmath>
#include <limits>
#include <memory>

namespace glulam {

namespace {

std::string count(size_t n) { return std::to_string(n); }

}  // namespace

void same_length(const std::string& name, size_t n, const std::string& other, size_t m) {
  if (n != m) throw Refused(name + ": " + count(n) + " values, but " + other + " has " + count(m));
}

bool Attributes::read(OrtStatus* status, const std::string& name) const {
  if (!status) return true;
  const std::string message = take_message(api_, status);
  // Nothing but the text tells an attribute that is not there from one that cannot be read.
  if (message.find("No attribute") != std::string::npos) return false;
  throw Refused(name + ": cannot be read: " + message);
}

int64_t Attributes::integer(const std::string& name, int64_t fallback) const {
  int64_t value = 0;
  return read(api_.KernelInfoGetAttribute_int64(info_, name.c_str(), &value), name) ? value : fallback;
}

std::string Attributes::text(const std::string& name, const std::string& fallback) const {
  size_t size = 0;
  if (!read(api_.KernelInfoGetAttribute_string(info_, name.c_str(), nullptr, &size), name)) return fallback;
  std::string value(size, '\0');
  read(api_.KernelInfoGetAttribute_string(info_, name.c_str(), value.data(), &size), name);
  value.resize(size ? size - 1 : 0);  // the size counts a closing zero
  return value;
}

std::vector<int64_t> Attributes::integers(const std::string& name) const {
  size_t size = 0;
  if (!read(api_.KernelInfoGetAttributeArray_int64(info_, name.c_str(), nullptr, &size), name)) return {};
  std::vector<int64_t> values(size);
  if (size) read(api_.KernelInfoGetAttributeArray_int64(info_, name.c_str(), values.data(), &size), name);
  return values;
}

std::vector<float> Attributes::floats(const std::string& name) const {
  size_t size = 0;
  if (!read(api_.KernelInfoGetAttributeArray_float(info_, name.c_str(), nullptr, &size), name)) return {};
  std::vector<float> values(size);
  if (size) read(api_.KernelInfoGetAttributeArray_float(info_, name.c_str(), values.data(), &size), name);
  return values;
}

std::vector<std::string> Attributes::texts(const std::string& name) const {
  OrtAllocator* allocator = nullptr;
  read(api_.GetAllocatorWithDefaultOptions(&allocator), name);
  char** first = nullptr;
  size_t size = 0;
  if (!read(api_.KernelInfoGetAttributeArray_string(info_, name.c_str(), allocator, &first, &size), name)) return {};
  // The array and each text in it are the allocator's; they are freed whatever happens.
  const auto release = [&](char** texts) {
    for (size_t i = 0; i < size; ++i)
      if (OrtStatus* status = api_.AllocatorFree(allocator, texts[i])) api_.ReleaseStatus(status);
    if (OrtStatus* status = api_.AllocatorFree(allocator, texts)) api_.ReleaseStatus(status);
  };
  const std::unique_ptr<char*, decltype(release)> held(first, release);
  return first ? std::vector<std::string>(first, first + size) : std::vector<std::string>();
}

template <typename T>
std::vector<T> Attributes::tensor(const std::string& name) const {
  OrtAllocator* allocator = nullptr;
  read(api_.GetAllocatorWithDefaultOptions(&allocator), name);
  OrtValue* value = nullptr;
  if (!read(api_.KernelInfoGetAttribute_tensor(info_, name.c_str(), allocator, &value), name)) return {};
  const std::unique_ptr<OrtValue, void (*)(OrtValue*)> held(value, api_.ReleaseValue);

  OrtTensorTypeAndShapeInfo* shape = nullptr;
  read(api_.GetTensorTypeAndShape(value, &shape), name);
  const std::unique_ptr<OrtTensorTypeAndShapeInfo, void (*)(OrtTensorTypeAndShapeInfo*)> held_shape(
      shape, api_.ReleaseTensorTypeAndShapeInfo);
  Element type = Element::kUndefined;
  size_t rank = 0, size = 0;
  read(api_.GetTensorElementType(shape, &type), name);
  read(api_.GetDimensionsCount(shape, &rank), name);
  read(api_.GetTensorShapeElementCount(shape, &size), name);
  if (rank != 1) throw Refused(name + ": a tensor of rank 1 is needed, not " + count(rank));
  if (type != element_of<T>())
    throw Refused(name + ": element type " + std::to_string(static_cast<int>(type)) + ", needed is " +
                  std::to_string(static_cast<int>(element_of<T>())));
  if (!size) return {};
  void* data = nullptr;
  read(api_.GetTensorMutableData(value, &data), name);
  const T* first = static_cast<const T*>(data);
  return std::vector<T>(first, first + size);
}
template std::vector<uint8_t> Attributes::tensor(const std::string&) const;
template std::vector<int64_t> Attributes::tensor(const std::string&) const;
template std::vector<float> Attributes::tensor(const std::string&) const;
template std::vector<double> Attributes::tensor(const std::string&) const;

namespace {

// Children of one side: node ids where `leaf` is 0, leaf ids where it is 1.
std::vector<int32_t> read_side(const Attributes& node, const std::string& ids_name, const std::string& leaf_name,
                               const std::string& first, size_t n_nodes, size_t n_leaves) {
  const std::vector<int64_t> ids = node.integers(ids_name), leaf = node.integers(leaf_name);
  same_length(ids_name, ids.size(), first, n_nodes);
  same_length(leaf_name, leaf.size(), first, n_nodes);
  std::vector<int32_t> children(n_nodes);
  for (size_t i = 0; i < n_nodes; ++i) {
    if (leaf[i] != 0 && leaf[i] != 1)
      throw Refused(leaf_name + ": " + std::to_string(leaf[i]) + " at " + count(i) + ", must be 0 or 1");
    const size_t limit = leaf[i] ? n_leaves : n_nodes;
    if (ids[i] < 0 || static_cast<uint64_t>(ids[i]) >= limit)
      throw Refused(ids_name + ": " + std::to_string(ids[i]) + " at " + count(i) + ", the model has " + count(limit) +
                    (leaf[i] ? " leaves" : " nodes"));
    const int32_t id = static_cast<int32_t>(ids[i]);
    children[i] = leaf[i] ? ~id : id;
  }
  return children;
}

// The sets of the member tests: one for each in the order of the nodes, each but the last closed by a NaN.
template <typename T>
void read_sets(const Attributes& node, const std::string& name, Tables<T>& tables) {
  int32_t n_sets = 0;
  for (const Mode mode : tables.mode) n_sets += mode == Mode::kMember;
  if (!n_sets) return;
  tables.set_of.assign(tables.mode.size(), -1);
  n_sets = 0;
  for (size_t i = 0; i < tables.mode.size(); ++i)
    if (tables.mode[i] == Mode::kMember) tables.set_of[i] = n_sets++;

  const std::vector<T> values = node.tensor<T>(name);
  tables.set_start = {0};
  tables.set_value.reserve(values.size());
  for (size_t k = 0; k < values.size(); ++k) {
    if (!std::isnan(values[k])) tables.set_value.push_back(values[k]);
    if (std::isnan(values[k]) || k + 1 == values.size())
      tables.set_start.push_back(static_cast<int64_t>(tables.set_value.size()));
  }
  same_length(name, tables.set_start.size() - 1, "the model's member tests", static_cast<size_t>(n_sets));
}

}  // namespace

template <typename T>
Tables<T> read_tree_ensemble(const Attributes& node, const std::string& prefix) {
  Tables<T> tables;
  tables.n_targets = node.integer(prefix + "n_targets", 0);  // as the runtime: 0 is refused
  if (tables.n_targets < 1 || tables.n_targets > std::numeric_limits<int32_t>::max())
    throw Refused(prefix + "n_targets: " + std::to_string(tables.n_targets));
  const int64_t aggregate = node.integer(prefix + "aggregate_function", 1);
  if (aggregate < 0 || aggregate > 3) throw Refused(prefix + "aggregate_function: " + std::to_string(aggregate));
  tables.aggregate = static_cast<Aggregate>(aggregate);

  const std::string modes_name = prefix + "nodes_modes", weights_name = prefix + "leaf_weights";
  {
    const std::vector<uint8_t> modes = node.tensor<uint8_t>(modes_name);
    if (modes.size() > kMaxNodes) throw Refused(modes_name + ": too many nodes: " + count(modes.size()));
    tables.mode.resize(modes.size());
    for (size_t i = 0; i < modes.size(); ++i) {
      if (modes[i] > static_cast<uint8_t>(Mode::kMember))
        throw Refused(modes_name + ": " + std::to_string(modes[i]) + " at " + count(i) + ", must be 0 to 6");
      tables.mode[i] = static_cast<Mode>(modes[i]);
    }
  }
  const size_t n = tables.mode.size();

  tables.weight = node.tensor<T>(weights_name);
  const size_t n_leaves = tables.weight.size();
  if (n_leaves > kMaxNodes) throw Refused(weights_name + ": too many leaves: " + count(n_leaves));
  tables.target = node.integers(prefix + "leaf_targetids");
  same_length(prefix + "leaf_targetids", tables.target.size(), weights_name, n_leaves);
  for (const int64_t target : tables.target)
    if (target < 0 || target >= tables.n_targets)
      throw Refused(prefix + "leaf_targetids: " + std::to_string(target) + ", the model has " +
                    std::to_string(tables.n_targets) + " targets");
  tables.leaf_start.resize(n_leaves + 1);
  for (size_t i = 0; i <= n_leaves; ++i) tables.leaf_start[i] = static_cast<int64_t>(i);

  tables.split = node.tensor<T>(prefix + "nodes_splits");
  same_length(prefix + "nodes_splits", tables.split.size(), modes_name, n);
  tables.feature = node.integers(prefix + "nodes_featureids");
  same_length(prefix + "nodes_featureids", tables.feature.size(), modes_name, n);
  for (const int64_t feature : tables.feature)
    if (feature < 0 || feature > std::numeric_limits<int32_t>::max())
      throw Refused(prefix + "nodes_featureids: " + std::to_string(feature));

  tables.nan_true.assign(n, 0);
  {
    const std::vector<int64_t> tracks = node.integers(prefix + "nodes_missing_value_tracks_true");
    if (!tracks.empty()) same_length(prefix + "nodes_missing_value_tracks_true", tracks.size(), modes_name, n);
    for (size_t i = 0; i < tracks.size(); ++i) tables.nan_true[i] = tracks[i] == 1;
  }
  tables.yes = read_side(node, prefix + "nodes_truenodeids", prefix + "nodes_trueleafs", modes_name, n, n_leaves);
  tables.no = read_side(node, prefix + "nodes_falsenodeids", prefix + "nodes_falseleafs", modes_name, n, n_leaves);
  read_sets(node, prefix + "membership_values", tables);

  const std::vector<int64_t> roots = node.integers(prefix + "tree_roots");
  if (roots.empty()) throw Refused(prefix + "tree_roots: no tree");
  tables.roots.reserve(roots.size());
  for (const int64_t root : roots) {
    if (root < 0 || static_cast<uint64_t>(root) >= n)
      throw Refused(prefix + "tree_roots: " + std::to_string(root) + ", the model has " + count(n) + " nodes");
    tables.roots.push_back(static_cast<int32_t>(root));
  }
  return tables;
}
template Tables<float> read_tree_ensemble(const Attributes&, const std::string&);
template Tables<double> read_tree_ensemble(const Attributes&, const std::string&);

PostTransform read_post_transform(const Attributes& node, const std::string& prefix) {
  const int64_t value = node.integer(prefix + "post_transform", 0);
  if (value < 0 || value > 4) throw Refused(prefix + "post_transform: " + std::to_string(value) + ", must be 0 to 4");
  return static_cast<PostTransform>(value);
}

}  // namespace glulam
