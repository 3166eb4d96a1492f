#include "plugins/destinations/declarative/file_reader.h"

#include <algorithm>
#include <charconv>
#include <system_error>
#include <utility>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace credence {
namespace {

constexpr std::size_t kMaxMistakes = 50;
constexpr std::size_t kMaxTextBytes = 1024;
constexpr std::size_t kMaxNameBytes = 64;

bool IsControl(char c) {
  return static_cast<unsigned char>(c) < 0x20 || c == 0x7f;
}

std::optional<std::int64_t> ToInteger(std::string_view text) {
  std::int64_t number = 0;
  const char* end = text.data() + text.size();
  const auto [stop, failed] = std::from_chars(text.data(), end, number);
  if (failed != std::errc() || stop != end) {
    return std::nullopt;
  }
  return number;
}

/// Foreign text in a message: cut, without control characters.
std::string Shown(std::string_view text) {
  std::string shown(text.substr(0, kMaxNameBytes));
  std::replace_if(shown.begin(), shown.end(), IsControl, '?');
  return shown;
}

}  // namespace

void FileReader::Fail(const YamlNode& at, std::string_view message) {
  if (mistakes_.size() < kMaxMistakes) {
    mistakes_.push_back(fmt::format("{}:{}:{}: {}", file_, at.line, at.column, message));
  }
}

Result<void> FileReader::Verdict() const {
  if (mistakes_.empty()) {
    return Ok();
  }
  return Error(Code::kInvalidArgument, fmt::format("{}", fmt::join(mistakes_, "\n")));
}

bool FileReader::IsFreeMap(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kMap) {
    Fail(node, "expected keys with values");
    return false;
  }
  return true;
}

bool FileReader::IsMap(const YamlNode& node, std::initializer_list<std::string_view> allowed) {
  if (!IsFreeMap(node)) {
    return false;
  }
  for (const YamlEntry& entry : node.entries) {
    if (std::find(allowed.begin(), allowed.end(), entry.key.text) == allowed.end()) {
      Fail(entry.key,
           fmt::format("unknown key {}; expected one of: {}",
                       Shown(entry.key.text),
                       fmt::join(allowed, ", ")));
    }
  }
  return true;
}

bool FileReader::IsSequence(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kSequence) {
    Fail(node, "expected a list");
    return false;
  }
  return true;
}

const YamlNode* FileReader::Find(const YamlNode& map, std::string_view key) {
  for (const YamlEntry& entry : map.entries) {
    if (entry.key.text == key) {
      return &entry.value;
    }
  }
  return nullptr;
}

const YamlNode* FileReader::Require(const YamlNode& map, std::string_view key) {
  const YamlNode* value = Find(map, key);
  if (value == nullptr) {
    Fail(map, fmt::format("key {} is missing", key));
  }
  return value;
}

std::string FileReader::Text(const YamlNode& node) {
  if (node.kind != YamlNode::Kind::kScalar) {
    Fail(node, "expected text");
    return {};
  }
  if (node.text.size() > kMaxTextBytes) {
    Fail(node, fmt::format("expected text of at most {} bytes", kMaxTextBytes));
    return {};
  }
  if (std::any_of(node.text.begin(), node.text.end(), IsControl)) {
    Fail(node, "expected text without control characters");
    return {};
  }
  return node.text;
}

std::string FileReader::Name(const YamlNode& node) {
  std::string text = Text(node);
  const auto parsed = ParseTemplate("{{" + text + "}}");
  const bool is_name =
      parsed.ok() && parsed->parts.size() == 1 && parsed->parts.front().name == text;
  if (!is_name || text.size() > kMaxNameBytes) {
    Fail(node,
         fmt::format("expected a name of a-z, 0-9 and _, at most {} characters", kMaxNameBytes));
    return {};
  }
  return text;
}

std::int64_t FileReader::Integer(const YamlNode& node, std::int64_t min, std::int64_t max) {
  const auto number = node.kind == YamlNode::Kind::kScalar && !node.quoted
                          ? ToInteger(node.text)
                          : std::optional<std::int64_t>();
  if (!number.has_value() || *number < min || *number > max) {
    Fail(node, fmt::format("expected a whole number from {} to {}", min, max));
    return min;
  }
  return *number;
}

bool FileReader::Boolean(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::kScalar && !node.quoted &&
      (node.text == "true" || node.text == "false")) {
    return node.text == "true";
  }
  Fail(node, "expected true or false");
  return false;
}

std::string FileReader::Pointer(const YamlNode& node) {
  std::string text = Text(node);
  bool valid = text.size() > 1 && text.front() == '/';
  for (std::size_t i = 0; valid && i < text.size(); ++i) {
    valid = text[i] != '~' || (i + 1 < text.size() && (text[i + 1] == '0' || text[i + 1] == '1'));
  }
  if (!valid) {
    Fail(node, "expected a JSON pointer such as /error/type");
    return {};
  }
  return text;
}

std::string FileReader::Header(const YamlNode& node) {
  std::string text = Text(node);
  const bool valid = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-';
  });
  if (!valid) {
    Fail(node, "expected a header name");
    return {};
  }
  return text;
}

TextTemplate FileReader::Template(const YamlNode& node, const KnownNames& names, Secrets secrets) {
  auto parsed = ParseTemplate(Text(node));
  if (!parsed.ok()) {
    Fail(node, parsed.error().message());
    return {};
  }
  for (const TextTemplate::Part& part : parsed->parts) {
    if (part.name.empty()) {
      continue;
    }
    const auto known = names.find(part.name);
    if (known == names.end()) {
      Fail(node, fmt::format("nothing here has the name {}", Shown(part.name)));
      return {};
    }
    if (known->second.secret && secrets == Secrets::kRefused) {
      Fail(node, fmt::format("{} is a secret and may not stand here", part.name));
      return {};
    }
    if (known->second.optional && !part.optional && !part.fallback.has_value()) {
      Fail(node,
           fmt::format("{0} is optional: write {{{{{0}?}}}} or {{{{{0}|default}}}}", part.name));
      return {};
    }
  }
  return *std::move(parsed);
}

JsonTemplate FileReader::Json(const YamlNode& node, const KnownNames& names, Secrets secrets) {
  JsonTemplate json;
  switch (node.kind) {
    case YamlNode::Kind::kNull:
      Fail(node, "expected a value; a JSON null cannot be sent");
      return json;
    case YamlNode::Kind::kSequence:
      json.kind = JsonTemplate::Kind::kArray;
      for (const YamlNode& item : node.items) {
        json.items.push_back(Json(item, names, secrets));
      }
      return json;
    case YamlNode::Kind::kMap:
      json.kind = JsonTemplate::Kind::kObject;
      for (const YamlEntry& entry : node.entries) {
        json.members.push_back({Text(entry.key), Json(entry.value, names, secrets)});
      }
      return json;
    case YamlNode::Kind::kScalar:
      break;
  }
  const bool boolean = node.text == "true" || node.text == "false";
  if (!node.quoted && (boolean || ToInteger(node.text).has_value())) {
    json.literal = boolean ? node.text : std::to_string(*ToInteger(node.text));
    return json;
  }
  json.kind = JsonTemplate::Kind::kText;
  json.text = Template(node, names, secrets);
  return json;
}

}  // namespace credence
