#include "agent/governance/audit_line.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstddef>
#include <limits>
#include <optional>
#include <utility>
#include <vector>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/parse.hpp>
#include <boost/json/serialize.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

namespace credence {
namespace {

namespace json = boost::json;

constexpr std::size_t kMaxText = 4096;
constexpr std::size_t kMaxSelectors = 256;
constexpr std::size_t kMaxSelector = 256;

constexpr std::array<std::pair<AuditKind, std::string_view>, 2> kKinds = {{
    {AuditKind::kDecision, "decision"},
    {AuditKind::kExchange, "exchange"},
}};
constexpr std::array<std::pair<AuditResult, std::string_view>, 3> kResults = {{
    {AuditResult::kAllowed, "allowed"},
    {AuditResult::kDenied, "denied"},
    {AuditResult::kFailed, "failed"},
}};

template <class Names>
std::string_view NameIn(const Names& names, auto value) {
  const auto found = std::find_if(
      names.begin(), names.end(), [value](const auto& entry) { return entry.first == value; });
  return found == names.end() ? std::string_view() : found->second;
}

template <class T, class Names>
Result<T> ValueIn(const Names& names, std::string_view text, std::string_view what) {
  const auto found = std::find_if(
      names.begin(), names.end(), [text](const auto& entry) { return entry.second == text; });
  if (found == names.end()) {
    return Error(Code::kInvalidArgument, fmt::format("unknown {}", what));
  }
  return found->first;
}

/// Bytes of the well-formed UTF-8 sequence at the start of `text`; 0 if there is none.
/// Source: Unicode 15, table 3-7.
std::size_t Utf8Length(std::string_view text) {
  const auto byte = [&text](std::size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const auto continues = [&byte](std::size_t i, unsigned low = 0x80, unsigned high = 0xBF) {
    return byte(i) >= low && byte(i) <= high;
  };
  const unsigned first = byte(0);
  if (first < 0x80) {
    return 1;
  }
  if (first >= 0xC2 && first <= 0xDF) {
    return continues(1) ? 2 : 0;
  }
  if (first >= 0xE0 && first <= 0xEF) {
    const unsigned low = first == 0xE0 ? 0xA0 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : 0xBF;
    return continues(1, low, high) && continues(2) ? 3 : 0;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    const unsigned low = first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xF4 ? 0x8F : 0xBF;
    return continues(1, low, high) && continues(2) && continues(3) ? 4 : 0;
  }
  return 0;
}

std::string Clean(std::string_view text, std::size_t max_bytes = kMaxText) {
  std::string clean;
  while (!text.empty() && clean.size() < max_bytes) {
    const std::size_t length = Utf8Length(text);
    clean += length > 0 ? text.substr(0, length) : std::string_view("\xEF\xBF\xBD");
    text.remove_prefix(std::max<std::size_t>(length, 1));
  }
  return clean;
}

/// The well-formed UTF-8 sequence `bytes` as JSON writes it in ASCII.
std::string JsonEscape(std::string_view bytes) {
  constexpr unsigned kLowBits = 0x3F;
  constexpr unsigned kFirstSurrogate = 0x10000;
  unsigned point = static_cast<unsigned char>(bytes.front());
  if (bytes.size() > 1) {
    point &= 0x7FU >> bytes.size();
  }
  for (const char c : bytes.substr(1)) {
    point = (point << 6U) | (static_cast<unsigned char>(c) & kLowBits);
  }
  if (point < kFirstSurrogate) {
    return fmt::format("\\u{:04x}", point);
  }
  point -= kFirstSurrogate;
  return fmt::format("\\u{:04x}\\u{:04x}", 0xD800U + (point >> 10U), 0xDC00U + (point & 0x3FFU));
}

/// `text`, which is JSON in UTF-8, in printable ASCII: no character of it, such as C1 controls and
/// marks that turn the direction of writing, does anything to a terminal that shows the log.
std::string AsciiJson(std::string_view text) {
  constexpr unsigned char kDelete = 0x7f;
  std::string ascii;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(Utf8Length(text), 1);
    const std::string_view bytes = text.substr(0, length);
    ascii += static_cast<unsigned char>(bytes.front()) < kDelete ? std::string(bytes)
                                                                 : JsonEscape(bytes);
    text.remove_prefix(length);
  }
  return ascii;
}

void Add(json::object& line, std::string_view key, std::string_view text) {
  if (!text.empty()) {
    line[key] = Clean(text);
  }
}

json::array Selectors(const SelectorSet& selectors) {
  json::array texts;
  for (const Selector& selector : selectors.items()) {
    if (texts.size() == kMaxSelectors) {
      break;
    }
    texts.emplace_back(Clean(selector.ToString(), kMaxSelector));
  }
  return texts;
}

/// RFC 3339 in UTC with or without milliseconds.
Result<WallTime> ParseMillis(std::string_view text) {
  constexpr std::size_t kWithMillis = 24;
  constexpr std::size_t kPoint = 19;
  if (text.size() != kWithMillis || text[kPoint] != '.') {
    return ParseTime(text);
  }
  int millis = 0;
  const auto parsed =
      std::from_chars(text.data() + kPoint + 1, text.data() + kWithMillis - 1, millis);
  if (parsed.ptr != text.data() + kWithMillis - 1 || millis < 0) {
    return Error(Code::kInvalidArgument, "not a time");
  }
  const auto seconds = ParseTime(fmt::format("{}Z", text.substr(0, kPoint)));
  return seconds.ok() ? Result<WallTime>(*seconds + std::chrono::milliseconds(millis)) : seconds;
}

/// Reads members of one line and remembers the first that is odd.
class Members {
 public:
  explicit Members(const json::object& line) : line_(line) {}

  std::string Text(std::string_view key) {
    const json::value* value = line_.if_contains(key);
    if (value == nullptr) {
      return "";
    }
    if (!value->is_string()) {
      Odd(key);
      return "";
    }
    return std::string(value->get_string());
  }

  template <class Number>
  Number Unsigned(std::string_view key) {
    const json::value* value = line_.if_contains(key);
    if (value == nullptr) {
      return 0;
    }
    json::error_code failed;
    const auto number = value->to_number<std::uint64_t>(failed);
    if (failed || number > static_cast<std::uint64_t>(std::numeric_limits<Number>::max())) {
      Odd(key);
      return 0;
    }
    return static_cast<Number>(number);
  }

  bool Flag(std::string_view key) {
    const json::value* value = line_.if_contains(key);
    if (value != nullptr && !value->is_bool()) {
      Odd(key);
    }
    return value != nullptr && value->is_bool() && value->get_bool();
  }

  std::optional<WallTime> Time(std::string_view key) {
    const std::string text = Text(key);
    if (text.empty()) {
      return std::nullopt;
    }
    return Take(key, ParseMillis(text));
  }

  SelectorSet SelectorsOf(std::string_view key) {
    std::vector<Selector> selectors;
    const json::value* value = line_.if_contains(key);
    if (value != nullptr && !value->is_array()) {
      Odd(key);
    }
    if (value == nullptr || !value->is_array()) {
      return SelectorSet();
    }
    for (const json::value& item : value->get_array()) {
      const auto selector = item.is_string()
                                ? Selector::Parse(std::string_view(item.get_string()))
                                : Result<Selector>(Error(Code::kInvalidArgument, "no text"));
      if (const auto taken = Take(key, selector)) {
        selectors.push_back(*taken);
      }
    }
    return SelectorSet(std::move(selectors));
  }

  template <class T>
  std::optional<T> Take(std::string_view key, const Result<T>& value) {
    if (!value.ok()) {
      Odd(key);
      return std::nullopt;
    }
    return *value;
  }

  void Odd(std::string_view key) {
    if (odd_.empty()) {
      odd_ = key;
    }
  }
  const std::string& odd() const { return odd_; }

 private:
  const json::object& line_;
  std::string odd_;
};

AuditSubject SubjectOf(Members& members) {
  AuditSubject subject;
  subject.spiffe_id = members.Text("spiffe_id");
  subject.selectors = members.SelectorsOf("selectors");
  subject.pid = members.Unsigned<pid_t>("pid");
  subject.uid = members.Unsigned<uid_t>("uid");
  subject.start_time = members.Unsigned<std::uint64_t>("start_time");
  subject.executable = members.Text("executable");
  if (const auto assurance = members.Take("assurance", ParseAssurance(members.Text("assurance")))) {
    subject.assurance = *assurance;
  }
  return subject;
}

/// Nothing in the log may move a reader's cursor, turn the direction of its text or forge a line:
/// only printable ASCII is shown as it is.
std::string Printable(std::string_view text) {
  std::string printable;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    printable += byte < 0x20 || byte >= 0x7f ? fmt::format("\\x{:02x}", byte) : std::string(1, c);
  }
  return printable;
}

}  // namespace

std::string_view AuditKindName(AuditKind kind) {
  return NameIn(kKinds, kind);
}

Result<AuditKind> ParseAuditKind(std::string_view text) {
  return ValueIn<AuditKind>(kKinds, text, "kind of audit event: expected decision or exchange");
}

std::string_view AuditResultName(AuditResult result) {
  return NameIn(kResults, result);
}

Result<AuditResult> ParseAuditResult(std::string_view text) {
  return ValueIn<AuditResult>(kResults, text, "audit result: expected allowed, denied or failed");
}

std::string EncodeAuditLine(const AuditEvent& event) {
  json::object line;
  line["time"] = FormatRfc3339Millis(event.time);
  line["kind"] = AuditKindName(event.kind);
  line["result"] = AuditResultName(event.result);
  Add(line, "decision_id", event.decision_id);
  Add(line, "exchange_id", event.exchange_id);
  Add(line, "action", event.action);
  Add(line, "destination", event.destination);
  Add(line, "grant", event.grant);
  Add(line, "spiffe_id", event.subject.spiffe_id);
  line["pid"] = event.subject.pid;
  line["uid"] = event.subject.uid;
  line["start_time"] = event.subject.start_time;
  Add(line, "executable", event.subject.executable);
  line["assurance"] = AssuranceName(event.subject.assurance);
  line["selectors"] = Selectors(event.subject.selectors);
  Add(line, "reason", event.reason);
  Add(line, "fix", event.fix);
  Add(line, "failure", event.failure);
  Add(line, "request_id", event.request_id);
  if (event.expires_at) {
    line["expires_at"] = FormatRfc3339(*event.expires_at);
  }
  if (event.from_cache) {
    line["from_cache"] = true;
  }
  return AsciiJson(json::serialize(line)) + "\n";
}

Result<AuditEvent> DecodeAuditLine(std::string_view text) {
  json::error_code failed;
  const json::value parsed = json::parse(text, failed);
  if (failed || !parsed.is_object()) {
    return Error(Code::kInvalidArgument, "the line is no JSON object");
  }
  Members members(parsed.get_object());
  AuditEvent event;
  const auto kind = members.Take("kind", ParseAuditKind(members.Text("kind")));
  const auto result = members.Take("result", ParseAuditResult(members.Text("result")));
  const auto time = members.Time("time");
  event.decision_id = members.Text("decision_id");
  event.exchange_id = members.Text("exchange_id");
  event.subject = SubjectOf(members);
  event.destination = members.Text("destination");
  event.grant = members.Text("grant");
  event.action = members.Text("action");
  event.reason = members.Text("reason");
  event.fix = members.Text("fix");
  event.failure = members.Text("failure");
  event.request_id = members.Text("request_id");
  event.expires_at = members.Time("expires_at");
  event.from_cache = members.Flag("from_cache");
  if (!time) {
    members.Odd("time");
  }
  if (!members.odd().empty()) {
    return Error(Code::kInvalidArgument, fmt::format("member {} is missing or odd", members.odd()));
  }
  event.kind = *kind;
  event.result = *result;
  event.time = *time;
  return event;
}

std::string FormatAuditLine(const AuditEvent& event) {
  std::string line = fmt::format("{} {} {} {}",
                                 FormatRfc3339Millis(event.time),
                                 AuditResultName(event.result),
                                 event.action,
                                 event.destination);
  line += fmt::format(" for {} (pid {}, uid {}{}{})",
                      event.subject.spiffe_id.empty() ? "no identity" : event.subject.spiffe_id,
                      event.subject.pid,
                      event.subject.uid,
                      event.subject.executable.empty() ? "" : ", ",
                      event.subject.executable);
  const auto add = [&line](std::string_view label, std::string_view text) {
    if (!text.empty()) {
      line += fmt::format("{}{}", label, text);
    }
  };
  add(": ", event.failure);
  add(": ", event.reason);
  add("; fix: ", event.fix);
  add("; request ", event.request_id);
  add("; until ", event.expires_at ? FormatRfc3339(*event.expires_at) : "");
  add("", event.from_cache ? "; from cache" : "");
  add("; exchange ", event.exchange_id);
  add("; decision ", event.decision_id);
  return Printable(line);
}

}  // namespace credence
