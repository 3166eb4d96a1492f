#include "plugins/destinations/declarative/text_template.h"

#include <algorithm>

#include <fmt/format.h>

#include "base/core/check.h"

namespace credence {
namespace {

bool IsNameCharacter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

bool IsName(std::string_view name) {
  return !name.empty() && name.front() >= 'a' && name.front() <= 'z' &&
         std::all_of(name.begin(), name.end(), IsNameCharacter);
}

void AppendJson(std::string_view text, SecretBuffer& out) {
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      const char escaped[] = {'\\', c};
      out.Append({escaped, 2});
    } else if (static_cast<unsigned char>(c) < 0x20) {
      out.Append(fmt::format("\\u{:04x}", static_cast<unsigned>(static_cast<unsigned char>(c))));
    } else {
      out.Append({&c, 1});
    }
  }
}

void AppendUrlPath(std::string_view text, bool keep_slashes, SecretBuffer& out) {
  constexpr std::string_view kUnreserved = "-._~";
  for (const char c : text) {
    const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                       kUnreserved.find(c) != std::string_view::npos || (keep_slashes && c == '/');
    if (plain) {
      out.Append({&c, 1});
    } else {
      out.Append(fmt::format("%{:02X}", static_cast<unsigned>(static_cast<unsigned char>(c))));
    }
  }
}

/// In single quotes unless every character is plain, as most values are.
void AppendShell(std::string_view text, SecretBuffer& out) {
  constexpr std::string_view kPlain = "-_./:@%+=,";
  const bool plain = !text.empty() && std::all_of(text.begin(), text.end(), [&](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           kPlain.find(c) != std::string_view::npos;
  });
  if (plain) {
    out.Append(text);
    return;
  }
  out.Append("'");
  for (const char c : text) {
    out.Append(c == '\'' ? std::string_view("'\\''") : std::string_view(&c, 1));
  }
  out.Append("'");
}

void AppendEscaped(std::string_view text, ValueType type, Escape escape, SecretBuffer& out) {
  switch (escape) {
    case Escape::kNone:
      out.Append(text);
      return;
    case Escape::kJson:
      AppendJson(text, out);
      return;
    case Escape::kUrlPath:
      AppendUrlPath(text, type == ValueType::kPath, out);
      return;
    case Escape::kShell:
      AppendShell(text, out);
      return;
  }
}

/// What stands between the braces.
Result<TextTemplate::Part> ParseReference(std::string_view text) {
  TextTemplate::Part part;
  const auto bar = text.find('|');
  if (bar != std::string_view::npos) {
    part.fallback = std::string(text.substr(bar + 1));
    text = text.substr(0, bar);
  } else if (!text.empty() && text.back() == '?') {
    part.optional = true;
    text.remove_suffix(1);
  }
  if (!IsName(text)) {
    return Error(Code::kInvalidArgument, "expected {{name}}, {{name?}} or {{name|default}}");
  }
  part.name = text;
  return part;
}

bool IsBare(const JsonTemplate& json, const NamedValues& values) {
  if (json.text.parts.size() != 1 || json.text.parts.front().name.empty()) {
    return false;
  }
  const auto value = values.find(json.text.parts.front().name);
  if (value == values.end()) {
    return false;
  }
  const ValueType type = value->second.type;
  return type == ValueType::kInteger || type == ValueType::kSeconds || type == ValueType::kBoolean;
}

bool Vanishes(const JsonTemplate& json, const NamedValues& values) {
  return json.kind == JsonTemplate::Kind::kText && credence::Vanishes(json.text, values);
}

void AppendSeparator(bool& first, SecretBuffer& out) {
  out.Append(first ? "" : ",");
  first = false;
}

}  // namespace

Result<TextTemplate> ParseTemplate(std::string_view text) {
  TextTemplate result;
  while (!text.empty()) {
    const auto open = text.find("{{");
    if (open != 0) {
      TextTemplate::Part literal;
      literal.literal = text.substr(0, open);
      if (literal.literal.find("}}") != std::string::npos) {
        return Error(Code::kInvalidArgument, "\"}}\" without \"{{\"");
      }
      result.parts.push_back(std::move(literal));
    }
    if (open == std::string_view::npos) {
      break;
    }
    const auto close = text.find("}}", open);
    if (close == std::string_view::npos) {
      return Error(Code::kInvalidArgument, "\"{{\" without \"}}\"");
    }
    auto part = ParseReference(text.substr(open + 2, close - open - 2));
    if (!part.ok()) {
      return std::move(part).error();
    }
    result.parts.push_back(*std::move(part));
    text.remove_prefix(close + 2);
  }
  return result;
}

bool Vanishes(const TextTemplate& text, const NamedValues& values) {
  return std::any_of(text.parts.begin(), text.parts.end(), [&](const TextTemplate::Part& part) {
    return part.optional && values.find(part.name) == values.end();
  });
}

void Render(const TextTemplate& text, const NamedValues& values, Escape escape, SecretBuffer& out) {
  for (const TextTemplate::Part& part : text.parts) {
    if (part.name.empty()) {
      // In a path literal text is the file's own URL text, and in a command its own words.
      const bool own = escape == Escape::kUrlPath || escape == Escape::kShell;
      AppendEscaped(part.literal, ValueType::kText, own ? Escape::kNone : escape, out);
      continue;
    }
    const auto value = values.find(part.name);
    if (value != values.end()) {
      AppendEscaped(value->second.Reveal(), value->second.type, escape, out);
      continue;
    }
    CREDENCE_CHECK(part.fallback.has_value());
    AppendEscaped(*part.fallback, ValueType::kText, escape, out);
  }
}

std::string RenderPlain(const TextTemplate& text, const NamedValues& values, Escape escape) {
  SecretBuffer out;
  Render(text, values, escape, out);
  return std::string(out.Reveal());
}

void RenderJson(const JsonTemplate& json, const NamedValues& values, SecretBuffer& out) {
  bool first = true;
  switch (json.kind) {
    case JsonTemplate::Kind::kObject:
      out.Append("{");
      for (const auto& [key, member] : json.members) {
        if (!Vanishes(member, values)) {
          AppendSeparator(first, out);
          out.Append("\"");
          AppendJson(key, out);
          out.Append("\":");
          RenderJson(member, values, out);
        }
      }
      out.Append("}");
      return;
    case JsonTemplate::Kind::kArray:
      out.Append("[");
      for (const JsonTemplate& item : json.items) {
        if (!Vanishes(item, values)) {
          AppendSeparator(first, out);
          RenderJson(item, values, out);
        }
      }
      out.Append("]");
      return;
    case JsonTemplate::Kind::kLiteral:
      out.Append(json.literal);
      return;
    case JsonTemplate::Kind::kText: {
      const std::string_view quote = IsBare(json, values) ? "" : "\"";
      out.Append(quote);
      Render(json.text, values, Escape::kJson, out);
      out.Append(quote);
      return;
    }
  }
}

}  // namespace credence
