#include "plugins/destinations/declarative/settings_parser.h"

#include <algorithm>
#include <array>
#include <memory>
#include <utility>

#include <fmt/format.h>
#include <re2/re2.h>

namespace credence {
namespace {

constexpr std::size_t kMaxPatternBytes = 128;

constexpr std::array<std::pair<std::string_view, SettingType>, 5> kSettingTypes = {{
    {"string", SettingType::kString},
    {"url_path", SettingType::kUrlPath},
    {"integer", SettingType::kInteger},
    {"base_url", SettingType::kBaseUrl},
    {"ca_file", SettingType::kCaFile},
}};

void ReadPattern(FileReader& reader, const YamlNode& node, SettingSpec& spec) {
  const std::string text = reader.Text(node);
  if (text.size() > kMaxPatternBytes) {
    reader.Fail(node, fmt::format("expected a pattern of at most {} bytes", kMaxPatternBytes));
    return;
  }
  // A repeated group or a counted repetition can cost more time than any answer is worth.
  if (text.find("){") != std::string::npos || text.find(")*") != std::string::npos ||
      text.find(")+") != std::string::npos || text.find('\\') != std::string::npos) {
    reader.Fail(node, "a pattern has no repeated groups and no backslashes");
    return;
  }
  auto pattern = std::make_shared<const re2::RE2>(text, re2::RE2::Quiet);
  if (!pattern->ok()) {
    reader.Fail(node, "expected a regular expression (RE2 syntax)");
    return;
  }
  spec.pattern = std::move(pattern);
}

SettingSpec ReadSetting(FileReader& reader, const YamlEntry& entry) {
  SettingSpec spec;
  spec.name = reader.Name(entry.key);
  const YamlNode& node = entry.value;
  if (!reader.IsMap(node, {"type", "required", "default", "pattern", "expected", "min", "max"})) {
    return spec;
  }
  if (const YamlNode* type = reader.Require(node, "type"); type != nullptr) {
    const auto known = std::find_if(kSettingTypes.begin(),
                                    kSettingTypes.end(),
                                    [&](const auto& pair) { return pair.first == type->text; });
    if (known == kSettingTypes.end()) {
      reader.Fail(*type, "expected string, url_path, integer, base_url or ca_file");
    } else {
      spec.type = known->second;
    }
  }
  if (const YamlNode* required = FileReader::Find(node, "required"); required != nullptr) {
    spec.required = reader.Boolean(*required);
  }
  if (const YamlNode* value = FileReader::Find(node, "default"); value != nullptr) {
    spec.default_value = reader.Text(*value);
    if (spec.required) {
      reader.Fail(*value, "a required setting has no default");
    }
  }
  if (const YamlNode* pattern = FileReader::Find(node, "pattern"); pattern != nullptr) {
    ReadPattern(reader, *pattern, spec);
  }
  if (const YamlNode* expected = FileReader::Find(node, "expected"); expected != nullptr) {
    spec.expected = reader.Text(*expected);
  }
  if (const YamlNode* min = FileReader::Find(node, "min"); min != nullptr) {
    spec.min = reader.Integer(*min, spec.min, spec.max);
  }
  if (const YamlNode* max = FileReader::Find(node, "max"); max != nullptr) {
    spec.max = reader.Integer(*max, spec.min, spec.max);
  }
  return spec;
}

}  // namespace

std::vector<SettingSpec> ReadSettings(FileReader& reader, const YamlNode* node) {
  std::vector<SettingSpec> specs;
  if (node != nullptr && reader.IsFreeMap(*node)) {
    for (const YamlEntry& entry : node->entries) {
      specs.push_back(ReadSetting(reader, entry));
    }
  }
  return specs;
}

void CheckSettings(FileReader& reader, const YamlNode& root, const AdapterFile& file) {
  const auto count = [](const std::vector<SettingSpec>& specs, SettingType type) {
    return std::count_if(
        specs.begin(), specs.end(), [&](const SettingSpec& spec) { return spec.type == type; });
  };
  if (count(file.settings, SettingType::kBaseUrl) != 1) {
    reader.Fail(root, "expected exactly one setting of type base_url");
  }
  if (count(file.settings, SettingType::kCaFile) > 1) {
    reader.Fail(root, "expected at most one setting of type ca_file");
  }
  if (count(file.params, SettingType::kBaseUrl) + count(file.params, SettingType::kCaFile) > 0) {
    reader.Fail(root, "a parameter of a request may not decide where an SVID is sent");
  }
  for (const SettingSpec& param : file.params) {
    const bool taken =
        std::any_of(file.settings.begin(), file.settings.end(), [&](const SettingSpec& setting) {
          return setting.name == param.name;
        });
    if (taken) {
      reader.Fail(root, fmt::format("{} is a setting and a parameter", param.name));
    }
  }
}

KnownNames NamesOf(const std::vector<SettingSpec>& specs) {
  KnownNames names;
  for (const SettingSpec& spec : specs) {
    // A base URL without default is required whether the file says so or not.
    const bool always =
        spec.required || spec.default_value.has_value() || spec.type == SettingType::kBaseUrl;
    names[spec.name] = NameFacts{!always, false};
  }
  return names;
}

}  // namespace credence
