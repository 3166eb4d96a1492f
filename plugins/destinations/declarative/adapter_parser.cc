#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "plugins/destinations/declarative/adapter_file.h"
#include "plugins/destinations/declarative/file_reader.h"
#include "plugins/destinations/declarative/settings_parser.h"
#include "plugins/destinations/declarative/setup_section.h"
#include "plugins/destinations/declarative/step_parser.h"
#include "plugins/destinations/declarative/svid_parser.h"
#include "plugins/destinations/declarative/yaml_tree.h"

namespace credence {
namespace {

using Secrets = FileReader::Secrets;

constexpr std::size_t kMaxSteps = 4;
constexpr std::int64_t kMaxLifetimeSeconds = 31'622'400;

constexpr std::array<ExchangeFailure, 10> kFailures = {ExchangeFailure::kBadRequest,
                                                       ExchangeFailure::kBadToken,
                                                       ExchangeFailure::kClockSkew,
                                                       ExchangeFailure::kReplay,
                                                       ExchangeFailure::kPolicyDenied,
                                                       ExchangeFailure::kOpaqueDenied,
                                                       ExchangeFailure::kRateLimited,
                                                       ExchangeFailure::kUnavailable,
                                                       ExchangeFailure::kPropagation,
                                                       ExchangeFailure::kBadResponse};

void AddExtracted(const HttpStep& step, KnownNames& names) {
  for (const ExtractSpec& spec : step.extract) {
    names[spec.name] = NameFacts{spec.optional, spec.type == ValueType::kToken};
  }
}

/// Returns the names that exist after the last step.
KnownNames ReadSteps(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  KnownNames names = NamesOf(file.settings);
  names.merge(NamesOf(file.params));
  const YamlNode* steps = reader.Require(root, "steps");
  if (steps == nullptr || !reader.IsSequence(*steps)) {
    return names;
  }
  if (steps->items.empty() || steps->items.size() > kMaxSteps) {
    reader.Fail(*steps, fmt::format("expected 1 to {} steps", kMaxSteps));
  }
  for (const YamlNode& item : steps->items) {
    KnownNames usable = names;
    // An SVID is presented once: what a later step needs comes from the answers before it.
    if (file.steps.empty()) {
      usable["svid"] = NameFacts{false, true};
    }
    file.steps.push_back(ReadStep(reader, item, usable));
    AddExtracted(file.steps.back(), names);
  }
  return names;
}

void ReadRequestId(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  const YamlNode* sources = FileReader::Find(root, "request_id");
  if (sources == nullptr || !reader.IsSequence(*sources)) {
    return;
  }
  for (const YamlNode& source : sources->items) {
    if (reader.IsMap(source, {"json", "header"})) {
      file.request_id.push_back(ReadSource(reader, source));
    }
  }
}

void ReadStatus(FileReader& reader, const YamlNode& node, ClassifyRule& rule) {
  if (node.text == "network") {
    rule.network = true;
  } else if (node.text == "4xx") {
    rule.status.emplace_back(400, 499);
  } else if (node.text == "5xx") {
    rule.status.emplace_back(500, 599);
  } else {
    const int status = static_cast<int>(reader.Integer(node, 100, 599));
    rule.status.emplace_back(status, status);
  }
}

ClassifyRule ReadRule(FileReader& reader, const YamlNode& node) {
  ClassifyRule rule;
  if (!reader.IsMap(node, {"status", "json", "class"})) {
    return rule;
  }
  const YamlNode* status = reader.Require(node, "status");
  if (status != nullptr && reader.IsSequence(*status)) {
    for (const YamlNode& item : status->items) {
      ReadStatus(reader, item, rule);
    }
  }
  const YamlNode* json = FileReader::Find(node, "json");
  if (json != nullptr && reader.IsFreeMap(*json)) {
    for (const YamlEntry& entry : json->entries) {
      rule.json.emplace_back(reader.Pointer(entry.key), reader.Text(entry.value));
    }
  }
  if (const YamlNode* name = reader.Require(node, "class"); name != nullptr) {
    const auto failure =
        std::find_if(kFailures.begin(), kFailures.end(), [&](ExchangeFailure candidate) {
          return ExchangeFailureName(candidate) == name->text;
        });
    if (failure == kFailures.end()) {
      reader.Fail(*name,
                  "unknown class; expected one such as BAD_REQUEST, OPAQUE_DENIED, UNAVAILABLE");
    } else {
      rule.failure = *failure;
    }
  }
  return rule;
}

void ReadClassify(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  const YamlNode* rules = reader.Require(root, "classify");
  if (rules == nullptr || !reader.IsSequence(*rules)) {
    return;
  }
  for (const YamlNode& rule : rules->items) {
    file.classify.push_back(ReadRule(reader, rule));
  }
}

const ExtractSpec* FindExtract(const std::vector<HttpStep>& steps, std::string_view name) {
  for (const HttpStep& step : steps) {
    for (const ExtractSpec& spec : step.extract) {
      if (spec.name == name) {
        return &spec;
      }
    }
  }
  return nullptr;
}

std::string ReadExtractedName(FileReader& reader,
                              const YamlNode& node,
                              const AdapterFile& file,
                              std::optional<ValueType> type) {
  std::string name = reader.Name(node);
  const ExtractSpec* spec = FindExtract(file.steps, name);
  if (spec == nullptr) {
    reader.Fail(node, "no step extracts such a value");
  } else if (type.has_value() && spec->type != *type) {
    reader.Fail(node, "this value has another type than is needed here");
  }
  return name;
}

void ReadExpiry(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  const YamlNode* expiry = reader.Require(root, "expiry");
  if (expiry == nullptr || !reader.IsMap(*expiry, {"from", "cap", "margin"})) {
    return;
  }
  if (const YamlNode* from = reader.Require(*expiry, "from"); from != nullptr) {
    file.expiry.from = ReadExtractedName(reader, *from, file, ValueType::kSeconds);
    const ExtractSpec* spec = FindExtract(file.steps, file.expiry.from);
    if (spec != nullptr && spec->optional) {
      reader.Fail(*from, "a credential always expires, so this value may not be optional");
    }
  }
  if (const YamlNode* cap = FileReader::Find(*expiry, "cap"); cap != nullptr) {
    file.expiry.cap = std::chrono::seconds(reader.Integer(*cap, 1, kMaxLifetimeSeconds));
  }
  if (const YamlNode* margin = FileReader::Find(*expiry, "margin"); margin != nullptr) {
    file.expiry.margin = std::chrono::seconds(reader.Integer(*margin, 0, 3600));
  }
}

void ReadCredential(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  const YamlNode* node = reader.Require(root, "credential");
  if (node == nullptr || !reader.IsMap(*node, {"fields", "primary", "accessor", "renewable"})) {
    return;
  }
  CredentialSpec& spec = file.credential;
  if (const YamlNode* fields = reader.Require(*node, "fields");
      fields != nullptr && reader.IsSequence(*fields)) {
    for (const YamlNode& field : fields->items) {
      spec.fields.push_back(ReadExtractedName(reader, field, file, std::nullopt));
      const ExtractSpec* extracted = FindExtract(file.steps, spec.fields.back());
      if (extracted != nullptr && extracted->optional) {
        reader.Fail(field, "a field of the credential may not be optional");
      }
    }
  }
  if (const YamlNode* primary = reader.Require(*node, "primary"); primary != nullptr) {
    spec.primary = reader.Name(*primary);
    if (std::find(spec.fields.begin(), spec.fields.end(), spec.primary) == spec.fields.end()) {
      reader.Fail(*primary, "expected one of the fields");
    }
  }
  if (const YamlNode* accessor = FileReader::Find(*node, "accessor"); accessor != nullptr) {
    spec.accessor = ReadExtractedName(reader, *accessor, file, ValueType::kText);
  }
  if (const YamlNode* renewable = FileReader::Find(*node, "renewable"); renewable != nullptr) {
    spec.renewable = ReadExtractedName(reader, *renewable, file, ValueType::kBoolean);
  }
}

/// What is known once a credential exists: settings, its fields, its expiry.
KnownNames NamesAfterExchange(const AdapterFile& file) {
  KnownNames names = NamesOf(file.settings);
  for (const std::string& field : file.credential.fields) {
    names[field] = NameFacts{false, true};
  }
  names["expires_at_unix"] = NameFacts{false, false};
  return names;
}

bool IsEnvironmentName(std::string_view name) {
  return !name.empty() && !(name.front() >= '0' && name.front() <= '9') &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
         });
}

std::string ReadEnvironmentName(FileReader& reader, const YamlNode& node) {
  std::string name = reader.Text(node);
  if (!IsEnvironmentName(name)) {
    reader.Fail(node, "expected the name of an environment variable, in capitals");
  }
  return name;
}

/// Relative, and it stays in its folder.
bool IsSafePath(std::string_view path) {
  bool segment_start = true;
  for (const char c : path) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       c == '_' || c == '-' || (c == '.' && !segment_start) ||
                       (c == '/' && !segment_start);
    if (!plain) {
      return false;
    }
    segment_start = c == '/';
  }
  return !segment_start;
}

mode_t ReadMode(FileReader& reader, const YamlNode& node) {
  for (const auto& [text, mode] :
       {std::pair<std::string_view, mode_t>{"0600", 0600}, {"0644", 0644}, {"0400", 0400}}) {
    if (node.text == text) {
      return mode;
    }
  }
  reader.Fail(node, "expected 0600, 0400 or 0644");
  return 0600;
}

FileSpec ReadFileSpec(FileReader& reader, const YamlNode& node, const KnownNames& names) {
  FileSpec spec;
  if (!reader.IsMap(node, {"path", "mode", "json", "text"})) {
    return spec;
  }
  if (const YamlNode* path = reader.Require(node, "path"); path != nullptr) {
    spec.path = reader.Text(*path);
    if (!IsSafePath(spec.path)) {
      reader.Fail(
          *path,
          "expected a relative path of letters, digits, _, - and . that stays in its folder");
    }
  }
  if (const YamlNode* mode = reader.Require(node, "mode"); mode != nullptr) {
    spec.mode = ReadMode(reader, *mode);
  }
  const Secrets secrets = (spec.mode & 077) == 0 ? Secrets::kAllowed : Secrets::kRefused;
  const YamlNode* json = FileReader::Find(node, "json");
  const YamlNode* text = FileReader::Find(node, "text");
  if ((json == nullptr) == (text == nullptr)) {
    reader.Fail(node, "expected exactly one of json and text");
  } else if (json != nullptr) {
    spec.json = reader.Json(*json, names, secrets);
  } else {
    spec.text = reader.Template(*text, names, secrets);
  }
  return spec;
}

void ReadDeliver(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  const YamlNode* node = reader.Require(root, "deliver");
  if (node == nullptr || !reader.IsMap(*node, {"env", "unset", "files"})) {
    return;
  }
  const KnownNames names = NamesAfterExchange(file);
  KnownNames env_names = names;
  env_names["dir"] = NameFacts{false, false};
  if (const YamlNode* env = FileReader::Find(*node, "env");
      env != nullptr && reader.IsFreeMap(*env)) {
    for (const YamlEntry& entry : env->entries) {
      file.deliver.env.emplace_back(ReadEnvironmentName(reader, entry.key),
                                    reader.Template(entry.value, env_names, Secrets::kAllowed));
    }
  }
  if (const YamlNode* unset = FileReader::Find(*node, "unset");
      unset != nullptr && reader.IsSequence(*unset)) {
    for (const YamlNode& item : unset->items) {
      file.deliver.unset.push_back(ReadEnvironmentName(reader, item));
    }
  }
  if (const YamlNode* files = FileReader::Find(*node, "files");
      files != nullptr && reader.IsSequence(*files)) {
    for (const YamlNode& item : files->items) {
      file.deliver.files.push_back(ReadFileSpec(reader, item, names));
    }
  }
}

void ReadFollowUps(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  const KnownNames names = NamesAfterExchange(file);
  if (const YamlNode* renew = FileReader::Find(root, "renew"); renew != nullptr) {
    file.renew = ReadStep(reader, *renew, names);
    const bool has_expiry = std::any_of(
        file.renew->extract.begin(), file.renew->extract.end(), [&](const ExtractSpec& spec) {
          return spec.name == file.expiry.from && spec.type == ValueType::kSeconds &&
                 !spec.optional;
        });
    if (!has_expiry) {
      reader.Fail(*renew, fmt::format("a renewal has to extract {} as seconds", file.expiry.from));
    }
  }
  if (const YamlNode* revoke = FileReader::Find(root, "revoke"); revoke != nullptr) {
    file.revoke = ReadStep(reader, *revoke, names);
  }
}

}  // namespace

Result<AdapterFile> ParseAdapterFile(std::string_view yaml, std::string_view file_name) {
  auto root = ParseYaml(yaml);
  if (!root.ok()) {
    return Error(root.error().code(), fmt::format("{}:{}", file_name, root.error().message()));
  }
  FileReader reader(file_name);
  AdapterFile file;
  if (reader.IsMap(*root,
                   {"adapter",
                    "settings",
                    "params",
                    "svid",
                    "steps",
                    "request_id",
                    "classify",
                    "expiry",
                    "credential",
                    "deliver",
                    "renew",
                    "revoke",
                    "setup"})) {
    if (const YamlNode* name = reader.Require(*root, "adapter"); name != nullptr) {
      file.name = reader.Name(*name);
    }
    file.settings = ReadSettings(reader, reader.Require(*root, "settings"));
    file.params = ReadSettings(reader, FileReader::Find(*root, "params"));
    CheckSettings(reader, *root, file);
    ReadSvid(reader, *root, file);
    ReadSteps(reader, *root, file);
    ReadRequestId(reader, *root, file);
    ReadClassify(reader, *root, file);
    ReadExpiry(reader, *root, file);
    ReadCredential(reader, *root, file);
    ReadDeliver(reader, *root, file);
    ReadFollowUps(reader, *root, file);
    ReadSetup(reader, *root, file);
  }
  if (auto verdict = reader.Verdict(); !verdict.ok()) {
    return std::move(verdict).error();
  }
  return file;
}

}  // namespace credence
