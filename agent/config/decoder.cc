#include "agent/config/decoder.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <iterator>
#include <limits>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "base/core/clock.h"

namespace credence {
namespace {

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

/// Decimal, 0x hexadecimal or 0 octal, all of `text`.
std::optional<std::int64_t> ParseInteger(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) {
    text.remove_prefix(1);
  }
  int base = 10;
  if (text.starts_with("0x") || text.starts_with("0X")) {
    base = 16;
    text.remove_prefix(2);
  } else if (text.size() > 1 && text.starts_with('0')) {
    base = 8;
    text.remove_prefix(1);
  }
  std::uint64_t magnitude = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), magnitude, base);
  const auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  if (text.empty() || code != std::errc{} || end != text.data() + text.size() || magnitude > most) {
    return std::nullopt;
  }
  const auto value = static_cast<std::int64_t>(magnitude);
  return negative ? -value : value;
}

std::optional<bool> ParseBool(const Value& value, Typing typing) {
  const bool lenient = typing == Typing::kAsSpire && value.kind != ValueKind::kList &&
                       value.kind != ValueKind::kObject;
  if (value.kind != ValueKind::kBool && !lenient) {
    return std::nullopt;
  }
  if (EqualIgnoringCase(value.text, "true") || (lenient && value.text == "1")) {
    return true;
  }
  if (EqualIgnoringCase(value.text, "false") || (lenient && value.text == "0")) {
    return false;
  }
  return std::nullopt;
}

std::string DescribeRange(std::int64_t least, std::int64_t most) {
  if (most != std::numeric_limits<std::int64_t>::max()) {
    return fmt::format("a number from {} to {}", least, most);
  }
  if (least != std::numeric_limits<std::int64_t>::min()) {
    return fmt::format("a number of at least {}", least);
  }
  return "a whole number";
}

/// A value that asks for nothing: empty, or the harmless one.
bool AsksForNothing(const Value& value, std::string_view harmless) {
  switch (value.kind) {
    case ValueKind::kNull:
      return true;
    case ValueKind::kBool:
    case ValueKind::kNumber:
      return EqualIgnoringCase(value.text, harmless);
    case ValueKind::kString:
      return value.text.empty() || EqualIgnoringCase(value.text, harmless);
    case ValueKind::kList:
      return value.items.empty();
    case ValueKind::kObject:
      return value.entries.empty();
  }
  return false;
}

}  // namespace

std::string ConfigMistake::ToString() const {
  std::string text = file;
  if (line > 0) {
    text += fmt::format(":{}:{}", line, column);
  }
  if (!key.empty()) {
    text += ": " + key;
  }
  return text + ": " + message;
}

void Mistakes::Add(const Place& place, std::string message) {
  if (full()) {
    ++dropped_;
    return;
  }
  const bool flag = place.key.starts_with('-');
  ConfigMistake mistake{
      flag ? "command line" : file_, place.at.line, place.at.column, place.key, std::move(message)};
  const auto rank = [](const ConfigMistake& m) {
    return std::tuple(m.line == 0, m.line, m.column);
  };
  const auto at = std::upper_bound(
      mistakes_.begin(),
      mistakes_.end(),
      mistake,
      [&](const ConfigMistake& a, const ConfigMistake& b) { return rank(a) < rank(b); });
  mistakes_.insert(at, std::move(mistake));
}

void Mistakes::AddMissing(const Place& place, std::string_view expected) {
  const bool there =
      std::any_of(mistakes_.begin(), mistakes_.end(), [&](const ConfigMistake& mistake) {
        return mistake.key == place.key && Position{mistake.line, mistake.column} >= place.at;
      });
  if (!there) {
    Add(place, fmt::format("is missing: expected {}", expected));
  }
}

std::vector<ConfigMistake> Mistakes::Take() {
  if (dropped_ > 0) {
    mistakes_.push_back({file_, 0, 0, "", fmt::format("{} more mistakes", dropped_)});
  }
  return std::exchange(mistakes_, {});
}

Section::Section(const Value& value, std::string path, Typing typing, Mistakes& mistakes)
    : entries_(&value.entries),
      at_(value.at),
      path_(std::move(path)),
      typing_(typing),
      mistakes_(&mistakes) {}

std::string Section::Name(std::string_view key) const {
  const bool bare = path_.empty() || path_.ends_with(' ');
  return fmt::format("{}{}{}", path_, bare ? "" : ".", Printable(key));
}

Place Section::PlaceOf(std::string_view key) const {
  const auto entry = std::find_if(
      entries_->begin(), entries_->end(), [&](const Entry& e) { return SameKey(e.key, key); });
  return {entry == entries_->end() ? at_ : entry->at, Name(key)};
}

bool Section::SameKey(std::string_view a, std::string_view b) const {
  return typing_ == Typing::kExact ? a == b : EqualIgnoringCase(a, b);
}

void Section::NoteKnown(std::string_view key) {
  if (std::find(known_.begin(), known_.end(), key) == known_.end()) {
    known_.emplace_back(key);
  }
}

const Entry* Section::Find(std::string_view key) {
  NoteKnown(key);
  const Entry* found = nullptr;
  for (const Entry& entry : *entries_) {
    if (!SameKey(entry.key, key)) {
      continue;
    }
    if (found == nullptr) {
      found = &entry;
    } else if (std::find(reported_.begin(), reported_.end(), &entry) == reported_.end()) {
      reported_.push_back(&entry);
      Add({entry.at, Name(key)},
          fmt::format("is set twice: the first is at line {}", found->at.line));
    }
  }
  return found;
}

void Section::WrongKind(const Entry& entry, std::string_view key, std::string_view expected) {
  Add({entry.value.at, Name(key)},
      fmt::format("expected {}, found {}", expected, DescribeFound(entry.value)));
}

std::optional<Setting<std::string>> Section::ReadText(std::string_view key, bool secret) {
  const Entry* entry = Find(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  const Value& value = entry->value;
  const bool number = value.kind == ValueKind::kNumber && typing_ == Typing::kAsSpire;
  if (value.kind != ValueKind::kString && !number) {
    if (secret) {
      Add({value.at, Name(key)}, "expected a text");
    } else {
      WrongKind(*entry, key, "a text");
    }
    return std::nullopt;
  }
  if (value.text.empty() && typing_ == Typing::kAsSpire) {
    return std::nullopt;
  }
  return Setting<std::string>{value.text, {value.at, Name(key)}};
}

std::optional<Setting<std::string>> Section::Text(std::string_view key) {
  return ReadText(key, false);
}

std::optional<Setting<std::string>> Section::SecretText(std::string_view key) {
  return ReadText(key, true);
}

std::optional<Setting<bool>> Section::Bool(std::string_view key) {
  const Entry* entry = Find(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  const auto value = ParseBool(entry->value, typing_);
  if (!value) {
    WrongKind(*entry, key, "true or false");
    return std::nullopt;
  }
  return Setting<bool>{*value, {entry->value.at, Name(key)}};
}

std::optional<Setting<std::int64_t>> Section::Integer(std::string_view key,
                                                      std::int64_t least,
                                                      std::int64_t most) {
  const Entry* entry = Find(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  const Value& value = entry->value;
  const bool text = value.kind == ValueKind::kString && typing_ == Typing::kAsSpire;
  const auto number = value.kind == ValueKind::kNumber || text ? ParseInteger(value.text)
                                                               : std::optional<std::int64_t>{};
  if (!number || *number < least || *number > most) {
    WrongKind(*entry, key, DescribeRange(least, most));
    return std::nullopt;
  }
  return Setting<std::int64_t>{*number, {value.at, Name(key)}};
}

std::optional<Setting<std::chrono::milliseconds>> Section::Duration(std::string_view key) {
  const Entry* entry = Find(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  const Value& value = entry->value;
  if (value.kind == ValueKind::kString && value.text.empty() && typing_ == Typing::kAsSpire) {
    return std::nullopt;
  }
  if (value.kind == ValueKind::kString) {
    if (const auto duration = ParseDuration(value.text); duration.ok()) {
      return Setting<std::chrono::milliseconds>{*duration, {value.at, Name(key)}};
    }
  }
  WrongKind(*entry, key, "a duration such as \"30s\", \"10m\" or \"24h\"");
  return std::nullopt;
}

std::optional<Setting<std::vector<Setting<std::string>>>> Section::TextList(std::string_view key) {
  const Entry* entry = Find(key);
  if (entry == nullptr) {
    return std::nullopt;
  }
  if (entry->value.kind != ValueKind::kList) {
    WrongKind(*entry, key, "a list of texts");
    return std::nullopt;
  }
  Setting<std::vector<Setting<std::string>>> list{{}, {entry->value.at, Name(key)}};
  for (const Value& item : entry->value.items) {
    if (item.kind != ValueKind::kString || item.text.empty()) {
      Add({item.at, Name(key)},
          fmt::format("expected a text in the list, found {}", DescribeFound(item)));
    } else {
      list.value.push_back({item.text, {item.at, Name(key)}});
    }
  }
  return list;
}

std::optional<Section> Section::Block(std::string_view key) {
  std::vector<Section> all = Blocks(key);
  for (std::size_t i = 1; i < all.size(); ++i) {
    Add(all[i].place(),
        fmt::format("is there twice: the first is at line {}", all.front().at_.line));
  }
  if (all.empty()) {
    return std::nullopt;
  }
  return std::move(all.front());
}

std::vector<Section> Section::Blocks(std::string_view key) {
  NoteKnown(key);
  std::vector<Section> blocks;
  for (const Entry& entry : *entries_) {
    if (SameKey(entry.key, key)) {
      std::vector<Section> more = BlocksOf(entry);
      std::move(more.begin(), more.end(), std::back_inserter(blocks));
    }
  }
  return blocks;
}

std::vector<Section> Section::BlocksOf(const Entry& entry) {
  NoteKnown(entry.key);
  std::vector<Section> blocks;
  const auto add = [&](const Value& value) {
    if (value.kind == ValueKind::kObject) {
      blocks.emplace_back(value, Name(entry.key), typing_, *mistakes_);
    } else {
      Add({value.at, Name(entry.key)},
          fmt::format("expected a block, found {}", DescribeFound(value)));
    }
  };
  if (entry.value.kind == ValueKind::kList && typing_ == Typing::kAsSpire) {
    std::for_each(entry.value.items.begin(), entry.value.items.end(), add);
  } else {
    add(entry.value);
  }
  return blocks;
}

void Section::Unserved(const UnservedSetting& setting) {
  NoteKnown(setting.key);
  for (const Entry& entry : *entries_) {
    if (!SameKey(entry.key, setting.key)) {
      continue;
    }
    if (!setting.harmless || !AsksForNothing(entry.value, *setting.harmless)) {
      Add({entry.at, Name(setting.key)},
          "SPIRE's agent has this setting; Credence does not serve it yet: remove it");
    }
  }
}

void Section::Missing(std::string_view key, std::string_view expected) {
  NoteKnown(key);
  mistakes_->AddMissing({at_, Name(key)}, expected);
}

void Section::Finish() {
  for (const Entry& entry : *entries_) {
    const bool known = std::any_of(known_.begin(), known_.end(), [&](const std::string& key) {
      return SameKey(entry.key, key);
    });
    if (!known) {
      Add({entry.at, Name(entry.key)},
          "unknown key" + (mistakes_->full() ? "" : DidYouMean(entry.key, known_)));
    }
  }
}

}  // namespace credence
