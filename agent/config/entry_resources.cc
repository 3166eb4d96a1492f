#include "agent/config/entry_resources.h"

#include <sys/stat.h>

#include <algorithm>
#include <deque>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "agent/config/decoder.h"
#include "agent/config/node_alias.h"
#include "agent/config/resource_fields.h"
#include "agent/config/resource_files.h"
#include "agent/config/yaml_document.h"

namespace credence {
namespace {

constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
constexpr std::string_view kScheme = "spiffe://";

std::chrono::seconds ReadSvidTtl(Section& spec, std::string_view key) {
  const auto ttl = spec.Duration(key);
  if (!ttl) {
    return {};
  }
  const auto seconds = std::chrono::floor<std::chrono::seconds>(ttl->value);
  if (seconds.count() == 0 || seconds != ttl->value) {
    spec.Add(
        ttl->place,
        fmt::format("expected whole seconds, such as 10m, found {}", FormatDuration(ttl->value)));
  }
  return seconds;
}

std::vector<TrustDomain> ReadFederation(Section& spec) {
  std::vector<TrustDomain> domains;
  if (const auto list = spec.TextList("federates_with")) {
    for (const auto& item : list->value) {
      std::string_view name = item.value;
      if (name.starts_with(kScheme)) {
        name.remove_prefix(kScheme.size());
      }
      auto domain = TrustDomain::Parse(name);
      if (domain.ok()) {
        domains.push_back(*std::move(domain));
      } else {
        spec.Add(item.place, domain.error().message());
      }
    }
  }
  return domains;
}

std::vector<std::string> ReadTexts(Section& spec, std::string_view key) {
  std::vector<std::string> texts;
  if (const auto list = spec.TextList(key)) {
    for (const auto& item : list->value) {
      texts.push_back(item.value);
    }
  }
  return texts;
}

bool ReadFlag(Section& spec, std::string_view key) {
  const auto flag = spec.Bool(key);
  return flag && flag->value;
}

/// That of `spiffe_id`'s node where there is none; nullopt after a mistake.
std::optional<SpiffeId> ReadParent(Section& spec, const SpiffeId& spiffe_id) {
  const auto text = spec.Text("parent_id");
  auto parent = text ? SpiffeId::Parse(text->value)
                     : SpiffeId::FromParts(spiffe_id.trust_domain().name(), kLocalNodePath);
  if (!parent.ok()) {
    spec.Add(text ? text->place : spec.place(), parent.error().message());
    return std::nullopt;
  }
  if (!parent->MemberOf(spiffe_id.trust_domain())) {
    spec.Add(text->place, "is not in the trust domain of spiffe_id: expected one of its own");
    return std::nullopt;
  }
  return *std::move(parent);
}

/// Gathers the entries of any number of files.
class EntryReader {
 public:
  void Refuse(const std::string& file, std::string message) {
    files_.emplace_back(file).Add({}, std::move(message));
  }

  void Read(std::string_view yaml, const std::string& file) {
    Mistakes& mistakes = files_.emplace_back(file);
    const YamlDocuments read = ReadYaml(yaml);
    if (read.error) {
      mistakes.Add({read.error->at, ""}, read.error->message);
    } else if (IsBlank(yaml)) {
      // It must not take everything away.
      mistakes.Add(
          {}, "has no resource: expected at least one document, or a comment if none is meant");
    }
    for (const Value& document : read.documents) {
      ReadDocument(document, mistakes);
    }
  }

  EntryResourcesOutcome Finish() {
    EntryResourcesOutcome outcome;
    for (Mistakes& file : files_) {
      std::vector<ConfigMistake> mistakes = file.Take();
      std::move(mistakes.begin(), mistakes.end(), std::back_inserter(outcome.mistakes));
    }
    if (outcome.mistakes.empty()) {
      std::ranges::sort(entries_, {}, &EntryResource::name);
      outcome.entries = std::move(entries_);
    }
    return outcome;
  }

 private:
  void ReadDocument(const Value& document, Mistakes& mistakes) {
    if (document.kind != ValueKind::kObject) {
      mistakes.Add({document.at, ""}, "expected a resource: apiVersion, kind, metadata and spec");
      return;
    }
    const std::string_view kind = PeekText(document, "kind");
    if (kind == "Destination" || kind == "Grant") {
      // The agent's.
      return;
    }
    Section top(
        document, kind == "Entry" ? DocumentTitle(document, kind) : "", Typing::kExact, mistakes);
    const auto found = top.Text("kind");
    if (!found) {
      top.Missing("kind", "Entry, Destination or Grant");
      return;
    }
    if (kind != "Entry") {
      top.Add(found->place,
              fmt::format("expected Entry, Destination or Grant, found {}{}",
                          Quoted(found->value),
                          DidYouMean(found->value, {"Entry", "Destination", "Grant"})));
      return;
    }
    CheckApiVersion(top);
    ReadEntry(top, ResourceOrigin{mistakes.file(), document.at.line});
    top.Finish();
  }

  void ReadEntry(Section& top, const ResourceOrigin& origin) {
    std::optional<std::string> name;
    std::string owner;
    std::optional<WallTime> expires;
    if (auto metadata = RequiredBlock(top, "metadata", "name and the like")) {
      if (const auto given = ReadName(*metadata, "web")) {
        name = given->value;
        NoteName(*metadata, *given, origin);
      }
      owner = ReadOwner(*metadata);
      expires = ReadExpires(*metadata);
      metadata->Finish();
    }
    auto spec = RequiredBlock(top, "spec", "spiffe_id and selectors");
    if (!spec) {
      return;
    }
    auto id = ReadSpiffeId(*spec);
    auto parent = id ? ReadParent(*spec, *id) : std::nullopt;
    if (!id) {
      spec->Has("parent_id");
    }
    SelectorSet selectors = ReadSelectors(*spec);
    if (selectors.empty()) {
      spec->Missing("selectors", "at least one, such as \"unix:uid:1000\"");
    }
    const auto x509_svid_ttl = ReadSvidTtl(*spec, "x509_svid_ttl");
    const auto jwt_svid_ttl = ReadSvidTtl(*spec, "jwt_svid_ttl");
    auto federates_with = ReadFederation(*spec);
    auto dns_names = ReadTexts(*spec, "dns_names");
    const auto hint = spec->Text("hint");
    const bool admin = ReadFlag(*spec, "admin");
    const bool downstream = ReadFlag(*spec, "downstream");
    const bool store_svid = ReadFlag(*spec, "store_svid");
    const bool no_prefetch = ReadFlag(*spec, "disable_x509_svid_prefetch");
    const bool include_jti = ReadFlag(*spec, "jwt_svid_include_jti");
    spec->Finish();
    // Without them there is a mistake already, and no set comes out.
    if (name && id && parent) {
      entries_.push_back(EntryResource{.name = *std::move(name),
                                       .owner = std::move(owner),
                                       .expires = expires,
                                       .spiffe_id = *std::move(id),
                                       .parent_id = *std::move(parent),
                                       .selectors = std::move(selectors),
                                       .x509_svid_ttl = x509_svid_ttl,
                                       .jwt_svid_ttl = jwt_svid_ttl,
                                       .federates_with = std::move(federates_with),
                                       .dns_names = std::move(dns_names),
                                       .hint = hint ? hint->value : "",
                                       .admin = admin,
                                       .downstream = downstream,
                                       .store_svid = store_svid,
                                       .disable_x509_svid_prefetch = no_prefetch,
                                       .jwt_svid_include_jti = include_jti,
                                       .origin = origin});
    }
  }

  void NoteName(Section& metadata, const Setting<std::string>& name, const ResourceOrigin& origin) {
    const auto [first, is_first] = names_.try_emplace(name.value, origin);
    if (!is_first) {
      metadata.Add(
          name.place,
          fmt::format(
              "this name is taken by the one at {}:{}", first->second.file, first->second.line));
    }
  }

  /// One for each file; a deque because they are pointed at.
  std::deque<Mistakes> files_;
  std::map<std::string, ResourceOrigin> names_;
  std::vector<EntryResource> entries_;
};

}  // namespace

EntryResourcesOutcome LoadEntryResources(const std::vector<std::string>& paths) {
  EntryReader reader;
  std::map<std::string, std::int64_t> changed_at;
  ReadResourceFiles(paths, [&](const std::string& file, Result<std::string> text) {
    if (!text.ok()) {
      reader.Refuse(file, text.error().message());
      return;
    }
    struct stat info{};
    if (stat(file.c_str(), &info) == 0) {
      changed_at[file] = info.st_mtim.tv_sec * kNanosecondsPerSecond + info.st_mtim.tv_nsec;
    }
    reader.Read(*text, file);
  });
  EntryResourcesOutcome outcome = reader.Finish();
  outcome.changed_at = std::move(changed_at);
  return outcome;
}

EntryResourcesOutcome ParseEntryResources(std::string_view yaml, const std::string& file) {
  EntryReader reader;
  reader.Read(yaml, file);
  return reader.Finish();
}

}  // namespace credence
