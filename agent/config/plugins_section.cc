#include <algorithm>
#include <array>
#include <limits>
#include <map>
#include <set>
#include <string_view>
#include <utility>

#include <fmt/format.h>

#include "agent/config/sections.h"

namespace credence {
namespace {

enum class Kind { kKeyManager, kNodeAttestor, kWorkloadAttestor, kSvidStore };

struct KindFacts {
  Kind kind;
  std::string_view name;
  std::vector<std::string> served;
  /// Built into SPIRE's agent, not served yet.
  std::vector<std::string> unserved;
};

const std::array<KindFacts, 4>& AllKinds() {
  static const std::array<KindFacts, 4> kinds = {
      KindFacts{Kind::kKeyManager, "KeyManager", {"disk", "memory"}, {}},
      KindFacts{Kind::kNodeAttestor,
                "NodeAttestor",
                {"join_token", "x509pop"},
                {"aws_iid",
                 "azure_imds",
                 "azure_msi",
                 "gcp_iit",
                 "http_challenge",
                 "k8s_psat",
                 "sshpop",
                 "tpm_devid"}},
      KindFacts{Kind::kWorkloadAttestor,
                "WorkloadAttestor",
                {"unix"},
                {"docker", "k8s", "systemd", "slurm", "windows"}},
      KindFacts{Kind::kSvidStore, "SVIDStore", {}, {"aws_secretsmanager", "gcp_secretmanager"}},
  };
  return kinds;
}

bool Contains(const std::vector<std::string>& words, std::string_view word) {
  return std::find(words.begin(), words.end(), word) != words.end();
}

/// A plugin block that is enabled.
struct Plugin {
  const KindFacts* kind;
  std::string name;
  Section block;
};

/// Whether `name` is one of ours; if not, says what there is.
bool CheckServed(const KindFacts& kind, const std::string& name, Section& block) {
  if (Contains(kind.served, name)) {
    return true;
  }
  const std::string expected =
      kind.served.empty() ? "remove it" : "expected " + Alternatives(kind.served);
  if (Contains(kind.unserved, name)) {
    block.Add(
        block.place(),
        fmt::format(
            "SPIRE's agent has this {}; Credence does not serve it yet: {}", kind.name, expected));
  } else if (block.Has("plugin_cmd")) {
    block.Add(block.place(), fmt::format("external plugins are not served yet: {}", expected));
  } else {
    block.Add(block.place(), fmt::format("there is no {} of this name: {}", kind.name, expected));
  }
  return false;
}

/// Settings around plugin_data. False when the plugin is turned off.
bool CheckFrame(Section& block, bool served) {
  const auto enabled = block.Bool("enabled");
  if (enabled && !enabled->value) {
    return false;
  }
  for (const std::string_view key : {"plugin_cmd", "plugin_args", "plugin_checksum"}) {
    const Entry* entry = block.Find(key);
    const bool empty =
        entry == nullptr || (entry->value.text.empty() && entry->value.items.empty());
    if (served && !empty) {
      block.Add(block.PlaceOf(key),
                "external plugins are not served yet: remove it to use the built-in one");
    }
  }
  if (served && block.Text("plugin_data_file")) {
    block.Add(block.PlaceOf("plugin_data_file"),
              "SPIRE's agent has this setting; Credence does not serve it yet: use plugin_data");
  }
  return true;
}

/// What the `plugins { }` blocks hold.
struct Collected {
  std::map<std::string, int> first_line;
  /// Kinds with a plugin that is turned on, ours or not.
  std::set<Kind> attempted;
  /// Those that are ours and turned on.
  std::vector<Plugin> found;
};

void CollectOne(const KindFacts& kind, const std::string& name, Section block, Collected& into) {
  const int line = block.place().at.line;
  const auto [first, is_first] =
      into.first_line.try_emplace(fmt::format("{} {}", kind.name, name), line);
  if (!is_first) {
    block.Add(block.place(), fmt::format("is there twice: the first is at line {}", first->second));
    return;
  }
  if (!CheckFrame(block, Contains(kind.served, name))) {
    return;
  }
  into.attempted.insert(kind.kind);
  if (CheckServed(kind, name, block)) {
    into.found.push_back({&kind, name, std::move(block)});
  }
}

void Collect(Section& plugins, Collected& into) {
  for (const KindFacts& kind : AllKinds()) {
    for (Section& named : plugins.Blocks(kind.name)) {
      for (const Entry& entry : named.entries()) {
        for (Section& block : named.BlocksOf(entry)) {
          CollectOne(kind, entry.key, std::move(block), into);
        }
      }
    }
  }
  plugins.Finish();
}

/// Hands `plugin_data`, which may be left out, to `read`.
template <class Read>
auto WithData(Plugin& plugin, Mistakes& mistakes, Read read) {
  auto data = plugin.block.Block("plugin_data");
  plugin.block.Finish();
  if (data) {
    auto config = read(*data);
    data->Finish();
    return config;
  }
  Value empty;
  empty.at = plugin.block.place().at;
  Section none(empty, plugin.block.Name("plugin_data"), Typing::kAsSpire, mistakes);
  return read(none);
}

std::string Required(Section& data, std::string_view key, std::string_view expected) {
  if (auto text = data.Text(key)) {
    return std::move(text->value);
  }
  data.Missing(key, expected);
  return "";
}

NodeAttestorConfig ReadNodeAttestor(Plugin& plugin, Mistakes& mistakes) {
  return WithData(plugin, mistakes, [&](Section& data) -> NodeAttestorConfig {
    if (plugin.name == "join_token") {
      return JoinTokenAttestorConfig{};
    }
    X509PopAttestorConfig config;
    data.Unserved({"spiffe_endpoint_socket", ""});
    config.private_key_path =
        Required(data, "private_key_path", "the path of the node's private key (PEM)");
    config.certificate_path =
        Required(data, "certificate_path", "the path of the node's certificate (PEM)");
    if (auto intermediates = data.Text("intermediates_path")) {
      config.intermediates_path = std::move(intermediates->value);
    }
    return config;
  });
}

KeyManagerConfig ReadKeyManager(Plugin& plugin, Mistakes& mistakes) {
  return WithData(plugin, mistakes, [&](Section& data) -> KeyManagerConfig {
    if (plugin.name == "memory") {
      return MemoryKeyManagerConfig{};
    }
    return DiskKeyManagerConfig{
        Required(data, "directory", "the path of a folder for the agent's keys")};
  });
}

UnixAttestorConfig ReadUnixAttestor(Plugin& plugin, Mistakes& mistakes) {
  return WithData(plugin, mistakes, [](Section& data) {
    UnixAttestorConfig config;
    if (const auto discover = data.Bool("discover_workload_path")) {
      config.discover_workload_path = discover->value;
    }
    constexpr auto kLeast = std::numeric_limits<std::int64_t>::min();
    constexpr auto kMost = std::numeric_limits<std::int64_t>::max();
    if (const auto limit = data.Integer("workload_size_limit", kLeast, kMost)) {
      config.workload_size_limit = limit->value;
    }
    return config;
  });
}

/// Records the second and later plugins of a kind that may be there once.
bool TakesOne(bool taken, Plugin& plugin) {
  if (taken) {
    plugin.block.Add(plugin.block.place(),
                     fmt::format("expected exactly one {}", plugin.kind->name));
  }
  return !taken;
}

}  // namespace

PluginsSection ReadPluginsSection(std::vector<Section> plugins,
                                  const Place& file,
                                  Mistakes& mistakes) {
  PluginsSection read;
  Collected collected;
  for (Section& block : plugins) {
    Collect(block, collected);
  }
  for (Plugin& plugin : collected.found) {
    switch (plugin.kind->kind) {
      case Kind::kNodeAttestor: {
        const bool first = TakesOne(read.node_attestor.has_value(), plugin);
        NodeAttestorConfig config = ReadNodeAttestor(plugin, mistakes);
        if (first) {
          read.node_attestor = std::move(config);
        }
        break;
      }
      case Kind::kKeyManager: {
        const bool first = TakesOne(read.key_manager.has_value(), plugin);
        KeyManagerConfig config = ReadKeyManager(plugin, mistakes);
        if (first) {
          read.key_manager = std::move(config);
        }
        break;
      }
      case Kind::kWorkloadAttestor:
        read.unix_attestor = ReadUnixAttestor(plugin, mistakes);
        break;
      case Kind::kSvidStore:
        break;
    }
  }
  read.node_attestor_declared = collected.attempted.contains(Kind::kNodeAttestor);
  const Place place = plugins.empty() ? file : plugins.front().place();
  if (!collected.attempted.contains(Kind::kKeyManager)) {
    mistakes.AddMissing({place.at, "plugins.KeyManager"}, "exactly one, \"disk\" or \"memory\"");
  }
  if (!collected.attempted.contains(Kind::kWorkloadAttestor)) {
    mistakes.AddMissing({place.at, "plugins.WorkloadAttestor"}, "at least one, such as \"unix\"");
  }
  return read;
}

}  // namespace credence
