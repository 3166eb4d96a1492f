#include "plugins/destinations/declarative/step_parser.h"

#include <algorithm>
#include <array>
#include <limits>
#include <utility>

#include <fmt/format.h>

namespace credence {
namespace {

constexpr std::array<std::pair<std::string_view, HttpMethod>, 4> kMethods = {{
    {"get", HttpMethod::kGet},
    {"post", HttpMethod::kPost},
    {"put", HttpMethod::kPut},
    {"delete", HttpMethod::kDelete},
}};

constexpr std::array<std::pair<std::string_view, ValueType>, 5> kTypes = {{
    {"text", ValueType::kText},
    {"token", ValueType::kToken},
    {"integer", ValueType::kInteger},
    {"seconds", ValueType::kSeconds},
    {"boolean", ValueType::kBoolean},
}};

void ReadTarget(FileReader& reader, const YamlNode& node, const KnownNames& names, HttpStep& step) {
  int methods = 0;
  for (const auto& [word, method] : kMethods) {
    const YamlNode* path = FileReader::Find(node, word);
    if (path == nullptr) {
      continue;
    }
    ++methods;
    step.method = method;
    // A path alone: it starts with a slash and so cannot change the host.
    step.path = reader.Template(*path, names, FileReader::Secrets::kRefused);
    if (path->text.empty() || path->text.front() != '/' ||
        path->text.find_first_of(" #\\") != std::string::npos) {
      reader.Fail(*path, "expected a path that starts with / and has no fragment");
    }
  }
  if (methods != 1) {
    reader.Fail(node, "expected exactly one of get, post, put, delete");
  }
}

ExtractSpec ReadExtract(FileReader& reader, const YamlEntry& entry) {
  ExtractSpec spec;
  spec.name = reader.Name(entry.key);
  if (!reader.IsMap(entry.value, {"json", "header", "type", "optional"})) {
    return spec;
  }
  spec.source = ReadSource(reader, entry.value);
  if (const YamlNode* type = reader.Require(entry.value, "type"); type != nullptr) {
    const auto known = std::find_if(
        kTypes.begin(), kTypes.end(), [&](const auto& pair) { return pair.first == type->text; });
    if (known == kTypes.end()) {
      reader.Fail(*type, "expected text, token, integer, seconds or boolean");
    } else {
      spec.type = known->second;
    }
  }
  if (const YamlNode* optional = FileReader::Find(entry.value, "optional"); optional != nullptr) {
    spec.optional = reader.Boolean(*optional);
  }
  return spec;
}

ExpectSpec ReadExpect(FileReader& reader, const YamlEntry& entry, const HttpStep& step) {
  constexpr auto kMin = std::numeric_limits<std::int64_t>::min();
  constexpr auto kMax = std::numeric_limits<std::int64_t>::max();
  ExpectSpec spec;
  spec.name = reader.Name(entry.key);
  const auto extracted =
      std::find_if(step.extract.begin(), step.extract.end(), [&](const ExtractSpec& other) {
        return other.name == spec.name;
      });
  if (extracted == step.extract.end()) {
    reader.Fail(entry.key, "this step extracts no such value");
    return spec;
  }
  if (!reader.IsMap(entry.value, {"prefix", "equals_ci", "min", "max"})) {
    return spec;
  }
  if (const YamlNode* prefix = FileReader::Find(entry.value, "prefix"); prefix != nullptr) {
    spec.prefix = reader.Text(*prefix);
  }
  if (const YamlNode* equals = FileReader::Find(entry.value, "equals_ci"); equals != nullptr) {
    spec.equals_ci = reader.Text(*equals);
  }
  const bool number =
      extracted->type == ValueType::kInteger || extracted->type == ValueType::kSeconds;
  for (const std::string_view key : {"min", "max"}) {
    const YamlNode* bound = FileReader::Find(entry.value, key);
    if (bound == nullptr) {
      continue;
    }
    if (!number) {
      reader.Fail(*bound, "only a number has bounds");
    }
    (key == "min" ? spec.min : spec.max) = reader.Integer(*bound, kMin, kMax);
  }
  return spec;
}

void ReadRequest(FileReader& reader,
                 const YamlNode& node,
                 const KnownNames& names,
                 HttpStep& step) {
  const YamlNode* headers = FileReader::Find(node, "headers");
  if (headers != nullptr && reader.IsFreeMap(*headers)) {
    for (const YamlEntry& entry : headers->entries) {
      step.headers.emplace_back(reader.Header(entry.key),
                                reader.Template(entry.value, names, FileReader::Secrets::kAllowed));
    }
  }
  const YamlNode* json = FileReader::Find(node, "json");
  if (json != nullptr && reader.IsFreeMap(*json)) {
    step.json = reader.Json(*json, names, FileReader::Secrets::kAllowed);
  }
  const YamlNode* success = reader.Require(node, "success");
  if (success != nullptr && reader.IsSequence(*success)) {
    for (const YamlNode& status : success->items) {
      step.success.push_back(static_cast<int>(reader.Integer(status, 200, 299)));
    }
    if (success->items.empty()) {
      reader.Fail(*success, "expected at least one status");
    }
  }
}

}  // namespace

AnswerSource ReadSource(FileReader& reader, const YamlNode& node) {
  AnswerSource source;
  const YamlNode* json = FileReader::Find(node, "json");
  const YamlNode* header = FileReader::Find(node, "header");
  if ((json == nullptr) == (header == nullptr)) {
    reader.Fail(node, "expected exactly one of json and header");
    return source;
  }
  if (json != nullptr) {
    source.json = reader.Pointer(*json);
  } else {
    source.header = reader.Header(*header);
  }
  return source;
}

HttpStep ReadStep(FileReader& reader, const YamlNode& node, const KnownNames& names) {
  HttpStep step;
  if (!reader.IsMap(
          node,
          {"get", "post", "put", "delete", "headers", "json", "success", "extract", "expect"})) {
    return step;
  }
  ReadTarget(reader, node, names, step);
  ReadRequest(reader, node, names, step);
  const YamlNode* extract = FileReader::Find(node, "extract");
  if (extract != nullptr && reader.IsFreeMap(*extract)) {
    for (const YamlEntry& entry : extract->entries) {
      step.extract.push_back(ReadExtract(reader, entry));
    }
  }
  const YamlNode* expect = FileReader::Find(node, "expect");
  if (expect != nullptr && reader.IsFreeMap(*expect)) {
    for (const YamlEntry& entry : expect->entries) {
      step.expect.push_back(ReadExpect(reader, entry, step));
    }
  }
  return step;
}

}  // namespace credence
