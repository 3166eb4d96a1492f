#include "agent/config/resource_fields.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

namespace credence {

namespace {

/// Far more than any adapter has; repeats are searched for one by one.
constexpr std::size_t kMaxSettings = 200;
/// Less is used up on the way to the vendor and back.
constexpr auto kLeastMaxTtl = std::chrono::seconds(10);
constexpr std::size_t kMaxName = 63;
constexpr std::size_t kMaxOwner = 256;

bool IsResourceNameByte(char c) {
  return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

/// [a-z0-9]([a-z0-9-]*[a-z0-9])?, at most 63 bytes.
bool IsResourceName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName && IsResourceNameByte(name.front()) &&
         IsResourceNameByte(name.back()) && std::all_of(name.begin(), name.end(), [](char c) {
           return IsResourceNameByte(c) || c == '-';
         });
}

}  // namespace

bool IsBlank(std::string_view yaml) {
  return yaml.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

std::string_view PeekText(const Value& object, std::string_view key) {
  for (const Entry& entry : object.entries) {
    if (entry.key == key) {
      return entry.value.text;
    }
  }
  return "";
}

std::string DocumentTitle(const Value& document, std::string_view kind) {
  for (const Entry& entry : document.entries) {
    if (entry.key == "metadata") {
      const std::string_view name = PeekText(entry.value, "name");
      if (IsResourceName(name)) {
        return fmt::format("{} {}: ", kind, name);
      }
    }
  }
  return fmt::format("{}: ", kind);
}

void CheckApiVersion(Section& top) {
  const auto version = top.Text("apiVersion");
  if (!version) {
    top.Missing("apiVersion", "credence/v1");
  } else if (version->value != "credence/v1") {
    top.Add(version->place, fmt::format("expected credence/v1, found {}", Quoted(version->value)));
  }
}

std::optional<Setting<std::string>> ReadName(Section& metadata, std::string_view example) {
  auto name = metadata.Text("name");
  if (!name) {
    metadata.Missing("name", fmt::format("a name such as {}", example));
    return std::nullopt;
  }
  if (!IsResourceName(name->value)) {
    metadata.Add(
        name->place,
        fmt::format("expected up to {} lower-case letters, digits and inner dashes, found {}",
                    kMaxName,
                    Quoted(name->value)));
    return std::nullopt;
  }
  return name;
}

std::string ReadOwner(Section& metadata) {
  const auto owner = metadata.Text("owner");
  if (!owner) {
    return "";
  }
  if (owner->value.size() > kMaxOwner) {
    metadata.Add(owner->place, fmt::format("expected at most {} bytes", kMaxOwner));
  }
  return owner->value;
}

std::optional<WallTime> ReadExpires(Section& metadata) {
  const auto text = metadata.Text("expires");
  if (!text) {
    return std::nullopt;
  }
  const auto time = ParseTime(text->value);
  if (time.ok()) {
    return *time;
  }
  metadata.Add(text->place,
               fmt::format("expected a date 2027-03-01 or a time 2027-03-01T12:00:00Z, found {}",
                           Quoted(text->value)));
  return std::nullopt;
}

std::optional<std::chrono::milliseconds> ReadMaxTtl(Section& spec) {
  const auto ttl = spec.Duration("max_ttl");
  if (ttl && ttl->value < kLeastMaxTtl) {
    spec.Add(ttl->place,
             fmt::format("expected at least {}, found {}",
                         FormatDuration(kLeastMaxTtl),
                         FormatDuration(ttl->value)));
  }
  return ttl ? std::optional(ttl->value) : std::nullopt;
}

std::optional<Section> RequiredBlock(Section& section,
                                     std::string_view key,
                                     std::string_view expected) {
  auto block = section.Block(key);
  if (!block) {
    section.Missing(key, expected);
  }
  return block;
}

std::optional<SpiffeId> ReadSpiffeId(Section& subject) {
  const auto text = subject.Text("spiffe_id");
  if (!text) {
    subject.Missing("spiffe_id", "the SPIFFE ID of the workload");
    return std::nullopt;
  }
  const auto id = SpiffeId::Parse(text->value);
  if (!id.ok()) {
    subject.Add(text->place, id.error().message());
    return std::nullopt;
  }
  return *id;
}

SelectorSet ReadSelectors(Section& subject) {
  std::vector<Selector> selectors;
  if (const auto list = subject.TextList("selectors")) {
    for (const auto& item : list->value) {
      const auto selector = Selector::Parse(item.value);
      if (selector.ok()) {
        selectors.push_back(*selector);
      } else {
        subject.Add(item.place, selector.error().message());
      }
    }
  }
  return SelectorSet(std::move(selectors));
}

Assurance ReadAssurance(Section& subject) {
  if (const auto text = subject.Text("assurance")) {
    const auto assurance = ParseAssurance(text->value);
    if (assurance.ok()) {
      return *assurance;
    }
    subject.Add(text->place,
                fmt::format("expected pinned or opened_by_pid, found {}", Quoted(text->value)));
  }
  return Assurance::kOpenedByPid;
}

std::vector<DeliveryForm> ReadDeliver(Section& spec) {
  const auto list = spec.TextList("deliver");
  if (!list) {
    return {DeliveryForm::kApi};
  }
  if (list->value.empty()) {
    spec.Add(list->place, "expected at least one form of delivery: api");
  }
  std::vector<DeliveryForm> forms;
  for (const auto& form : list->value) {
    if (form.value != "api") {
      spec.Add(form.place,
               fmt::format("{} is not a form of delivery: expected api", Quoted(form.value)));
    } else if (!forms.empty()) {
      spec.Add(form.place, "api is there twice");
    } else {
      forms.push_back(DeliveryForm::kApi);
    }
  }
  return forms;
}

Settings ReadSettings(Section& settings) {
  Settings read;
  if (settings.entries().size() > kMaxSettings) {
    settings.Add(settings.place(), fmt::format("expected at most {} settings", kMaxSettings));
    return read;
  }
  for (const Entry& entry : settings.entries()) {
    const Value& value = entry.value;
    const bool scalar = value.kind == ValueKind::kString || value.kind == ValueKind::kNumber ||
                        value.kind == ValueKind::kBool;
    settings.Find(entry.key);
    if (!scalar) {
      settings.Add(
          {value.at, settings.Name(entry.key)},
          fmt::format("expected a text, a number, true or false; found {}", DescribeFound(value)));
    }
    read.try_emplace(entry.key, value.text);
  }
  return read;
}

namespace {

/// The setting that a line of an adapter's starts with, as in "address: expected https".
const Entry* NamedFirst(const Section* settings, std::string_view line) {
  if (settings == nullptr) {
    return nullptr;
  }
  const std::string_view word = line.substr(0, line.find_first_of(": "));
  const auto& entries = settings->entries();
  const auto found = std::find_if(
      entries.begin(), entries.end(), [&](const Entry& entry) { return entry.key == word; });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

void AddAdapterMistakes(Section& spec, const Section* settings, std::string_view lines) {
  while (!lines.empty()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    if (line.empty()) {
      continue;
    }
    Place place = spec.PlaceOf("settings");
    if (const Entry* named = NamedFirst(settings, line)) {
      place.at = named->at;
    }
    spec.Add(place, std::string(line));
  }
}

}  // namespace credence
