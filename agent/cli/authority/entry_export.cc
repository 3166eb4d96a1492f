#include "agent/cli/authority/entry_export.h"

#include <algorithm>
#include <tuple>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "agent/cli/authority/wire_types.h"

namespace credence {
namespace {

namespace json = boost::json;
using spire::api::types::Entry;

constexpr std::string_view kAgentPath = "/spire/agent/";
constexpr std::string_view kReservedPath = "/spire/";
/// Below the 4 MiB that gRPC servers take.
constexpr std::size_t kMostBytes = std::size_t{3} << 20;

bool HangsOnAgent(const Entry& entry) {
  return entry.parent_id().path().starts_with(kAgentPath);
}

/// What `token generate -spiffeID` makes: the agent of that token goes by this ID as well.
bool IsAlias(const Entry& entry) {
  return HangsOnAgent(entry) && entry.selectors_size() == 1 &&
         entry.selectors(0).type() == "spiffe_id" &&
         entry.selectors(0).value() == TextOf(entry.parent_id());
}

json::array Texts(const google::protobuf::RepeatedPtrField<std::string>& texts) {
  json::array array;
  for (const std::string& text : texts) {
    array.emplace_back(text);
  }
  return array;
}

/// Without what has its default.
json::object ObjectOf(const Entry& entry) {
  json::object object;
  object["entry_id"] = entry.id();
  object["spiffe_id"] = TextOf(entry.spiffe_id());
  object["parent_id"] = TextOf(entry.parent_id());
  json::array selectors;
  for (const auto& selector : entry.selectors()) {
    selectors.push_back({{"type", selector.type()}, {"value", selector.value()}});
  }
  object["selectors"] = std::move(selectors);
  json::array federates_with;
  for (const std::string& name : entry.federates_with()) {
    federates_with.emplace_back("spiffe://" + name);
  }
  const auto add = [&object](bool is_set, const char* name, json::value value) {
    if (is_set) {
      object[name] = std::move(value);
    }
  };
  add(entry.x509_svid_ttl() != 0, "x509_svid_ttl", entry.x509_svid_ttl());
  add(entry.jwt_svid_ttl() != 0, "jwt_svid_ttl", entry.jwt_svid_ttl());
  add(!federates_with.empty(), "federates_with", federates_with);
  add(entry.dns_names_size() != 0, "dns_names", Texts(entry.dns_names()));
  add(!entry.hint().empty(), "hint", json::string(entry.hint()));
  add(entry.admin(), "admin", true);
  add(entry.downstream(), "downstream", true);
  add(entry.store_svid(), "store_svid", true);
  add(entry.expires_at() != 0, "entryExpiry", entry.expires_at());
  const auto& more = entry.additional_attributes();
  json::object attributes;
  if (more.disable_x509_svid_prefetch()) {
    attributes["disable_x509_svid_prefetch"] = true;
  }
  if (more.jwt_svid_include_jti()) {
    attributes["jwt_svid_include_jti"] = true;
  }
  add(!attributes.empty(), "additional_attributes", attributes);
  return object;
}

}  // namespace

EntryExport SelectForExport(std::vector<Entry> entries) {
  EntryExport chosen;
  std::ranges::sort(entries, [](const Entry& a, const Entry& b) {
    return std::tuple(a.created_at(), a.id()) < std::tuple(b.created_at(), b.id());
  });
  std::set<std::string> given;
  for (Entry& entry : entries) {
    if (IsAlias(entry)) {
      ++chosen.aliases;
      continue;
    }
    given.insert(TextOf(entry.spiffe_id()));
    chosen.federated.insert(entry.federates_with().begin(), entry.federates_with().end());
    if (HangsOnAgent(entry)) {
      chosen.agents.insert(TextOf(entry.parent_id()));
    }
    chosen.entries.push_back(std::move(entry));
  }
  for (const Entry& entry : chosen.entries) {
    const std::string parent = TextOf(entry.parent_id());
    if (!entry.parent_id().path().starts_with(kReservedPath) && !given.contains(parent)) {
      chosen.nodes.insert(parent);
    }
  }
  return chosen;
}

std::string FormatEntryFile(const std::vector<Entry>& entries) {
  std::string text = "{\"entries\": [";
  for (const char* separator = "\n  "; const Entry& entry : entries) {
    text += separator + json::serialize(ObjectOf(entry));
    separator = ",\n  ";
  }
  return text + "\n]}\n";
}

std::vector<std::vector<Entry>> SplitForServer(std::vector<Entry> entries) {
  std::vector<std::vector<Entry>> parts;
  std::size_t bytes = 0;
  for (Entry& entry : entries) {
    const std::size_t size = entry.ByteSizeLong();
    if (parts.empty() || bytes + size > kMostBytes) {
      parts.emplace_back();
      bytes = 0;
    }
    bytes += size;
    parts.back().push_back(std::move(entry));
  }
  return parts;
}

}  // namespace credence
