#include "plugins/destinations/declarative/setup_section.h"

#include <algorithm>
#include <string>
#include <utility>

#include <fmt/format.h>

#include "base/http/url.h"
#include "plugins/destinations/declarative/setting_values.h"
#include "plugins/destinations/declarative/settings_parser.h"

namespace credence {
namespace {

constexpr std::size_t kMaxLines = 100;

/// What templates may name beside settings.
KnownNames FactNames() {
  return {{"destination", {}},
          {"subject", {}},
          {"trust_domain", {}},
          {"issuer", {}},
          {"fetched_issuer", {.optional = true}},
          {"public_issuer", {.optional = true}},
          {"jwks", {.optional = true}},
          {"jwk_array", {.optional = true}},
          {"keys_pem", {.optional = true}}};
}

NamedValues FactValues(const SetupFacts& facts) {
  NamedValues values;
  const auto add = [&](const char* name, const std::string& text) {
    if (!text.empty()) {
      values[name] = NamedValue{ValueType::kText, text, nullptr};
    }
  };
  add("destination", facts.destination);
  add("subject", facts.subject);
  add("trust_domain", facts.trust_domain);
  add("issuer", facts.issuer);
  if (const auto url = ParseHttpUrl(facts.issuer); url.ok()) {
    add("fetched_issuer", facts.issuer);
    add("public_issuer", IsLoopback(*url) ? "" : facts.issuer);
  }
  add("jwks", facts.jwks);
  add("jwk_array", facts.jwk_array);
  add("keys_pem", facts.keys_pem);
  return values;
}

bool Names(const TextTemplate& text, const std::string& name) {
  return std::any_of(text.parts.begin(), text.parts.end(), [&](const TextTemplate::Part& part) {
    return part.name == name;
  });
}

bool IsInSetup(const AdapterFile& file, const std::string& name) {
  return std::any_of(file.audience.begin(),
                     file.audience.end(),
                     [&](const TextTemplate& text) { return Names(text, name); }) ||
         std::any_of(file.setup.begin(), file.setup.end(), [&](const SetupLine& line) {
           return Names(line.text, name);
         });
}

SetupLine ReadLine(FileReader& reader, const YamlNode& node, const KnownNames& names) {
  SetupLine line;
  if (!reader.IsMap(node, {"text", "shell"})) {
    return line;
  }
  const YamlNode* text = FileReader::Find(node, "text");
  const YamlNode* shell = FileReader::Find(node, "shell");
  if ((text == nullptr) == (shell == nullptr)) {
    reader.Fail(node, "expected exactly one of text and shell");
    return line;
  }
  line.shell = shell != nullptr;
  line.text = reader.Template(line.shell ? *shell : *text, names, FileReader::Secrets::kRefused);
  return line;
}

}  // namespace

void ReadSetup(FileReader& reader, const YamlNode& root, AdapterFile& file) {
  const YamlNode* lines = FileReader::Find(root, "setup");
  if (lines == nullptr || !reader.IsSequence(*lines)) {
    return;
  }
  if (lines->items.empty() || lines->items.size() > kMaxLines) {
    reader.Fail(*lines, fmt::format("expected 1 to {} lines", kMaxLines));
  }
  KnownNames names = FactNames();
  for (const auto& [name, facts] : NamesOf(file.settings)) {
    if (!names.emplace(name, facts).second) {
      reader.Fail(*lines,
                  fmt::format("{} is a setting, and in setup the name of something else", name));
    }
  }
  for (const YamlNode& item : lines->items) {
    file.setup.push_back(ReadLine(reader, item, names));
  }
}

std::vector<SettingInfo> DescribeSettings(const AdapterFile& file) {
  std::vector<SettingInfo> settings;
  for (const SettingSpec& spec : file.settings) {
    const bool missing = !spec.default_value.has_value();
    settings.push_back(
        SettingInfo{.name = spec.name,
                    .required = spec.required || (spec.type == SettingType::kBaseUrl && missing),
                    .default_value = spec.default_value,
                    .expected = std::string(ExpectedWords(spec)),
                    .in_setup = IsInSetup(file, spec.name),
                    .rare = spec.type == SettingType::kCaFile});
  }
  return settings;
}

Result<SetupText> MakeSetupText(const AdapterFile& file,
                                const Settings& settings,
                                const SetupFacts& facts) {
  std::vector<SettingSpec> specs;
  Settings given;
  for (const SettingSpec& spec : file.settings) {
    if (IsInSetup(file, spec.name)) {
      specs.push_back(spec);
      if (const auto value = settings.find(spec.name); value != settings.end()) {
        given.insert(*value);
      }
    }
  }
  auto checked = CheckValues(specs, given, "setting");
  if (!checked.ok()) {
    return std::move(checked).error();
  }
  NamedValues values = std::move(checked->values);
  SetupText text;
  for (const TextTemplate& audience : file.audience) {
    if (!Vanishes(audience, values)) {
      text.audience.push_back(RenderPlain(audience, values, Escape::kNone));
    }
  }
  values.merge(FactValues(facts));
  for (const SetupLine& line : file.setup) {
    if (!Vanishes(line.text, values)) {
      text.lines.push_back(
          RenderPlain(line.text, values, line.shell ? Escape::kShell : Escape::kNone));
    }
  }
  return text;
}

}  // namespace credence
