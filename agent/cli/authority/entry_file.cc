#include "agent/cli/authority/entry_file.h"

#include <algorithm>
#include <cctype>
#include <cstdint>
#include <limits>
#include <optional>
#include <set>
#include <utility>

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/value.hpp>
#include <fmt/format.h>

#include "agent/cli/authority/wire_types.h"
#include "agent/config/decoder.h"
#include "base/spiffe/selector.h"
#include "base/svid/strict_json.h"

namespace credence {
namespace {

namespace json = boost::json;
using spire::api::types::Entry;

Error Wrong(std::string message) {
  return Error(Code::kInvalidArgument, std::move(message));
}

std::string_view View(const json::string& text) {
  return {text.data(), text.size()};
}

/// spiffe_id, spiffeId and SPIFFE_ID are one name.
std::string FoldedName(std::string_view name) {
  std::string folded;
  for (const char c : name) {
    if (c != '_') {
      folded += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
    }
  }
  return folded;
}

/// Reads a value into an entry; the error says what was expected.
using Reader = Result<void> (*)(const json::value& value, Entry& entry);

struct Member {
  std::string_view folded_name;
  Reader read;
};

Result<std::string> ReadText(const json::value& value) {
  const json::string* text = value.if_string();
  return text == nullptr ? Result<std::string>(Wrong("expected a text"))
                         : Result<std::string>(std::string(View(*text)));
}

Result<bool> ReadBool(const json::value& value) {
  const bool* flag = value.if_bool();
  return flag == nullptr ? Result<bool>(Wrong("expected true or false")) : Result<bool>(*flag);
}

/// A whole number from 0 to `most`.
Result<std::int64_t> ReadNumber(const json::value& value, std::int64_t most) {
  const std::int64_t* number = value.if_int64();
  if (number == nullptr || *number < 0 || *number > most) {
    return Wrong(fmt::format("expected a whole number from 0 to {}", most));
  }
  return *number;
}

Result<std::int64_t> ReadSeconds(const json::value& value) {
  return ReadNumber(value, std::numeric_limits<std::int64_t>::max());
}

Result<std::int32_t> ReadTtl(const json::value& value) {
  const auto seconds = ReadNumber(value, std::numeric_limits<std::int32_t>::max());
  return seconds.ok() ? Result<std::int32_t>(static_cast<std::int32_t>(*seconds))
                      : Result<std::int32_t>(seconds.error());
}

Result<std::vector<std::string>> ReadTexts(const json::value& value) {
  const json::array* array = value.if_array();
  if (array == nullptr) {
    return Wrong("expected a list of texts");
  }
  std::vector<std::string> texts;
  for (const json::value& element : *array) {
    auto text = ReadText(element);
    if (!text.ok()) {
      return Wrong("expected a list of texts");
    }
    texts.push_back(*std::move(text));
  }
  return texts;
}

/// Hands what `read` finds to `set`.
template <class Value, class Set>
Result<void> Store(Result<Value> read, Set set) {
  if (!read.ok()) {
    return std::move(read).error();
  }
  set(*std::move(read));
  return Ok();
}

Result<spire::api::types::SPIFFEID> ReadId(const json::value& value) {
  const json::string* text = value.if_string();
  return text == nullptr ? Result<spire::api::types::SPIFFEID>(
                               Wrong("expected a text such as spiffe://example.org/web"))
                         : WireId("not a SPIFFE ID", View(*text));
}

Result<void> ReadSelectors(const json::value& value, Entry& entry) {
  const char* expected = R"(expected a list of {"type": "unix", "value": "uid:1000"} and the like)";
  const json::array* array = value.if_array();
  if (array == nullptr) {
    return Wrong(expected);
  }
  for (const json::value& element : *array) {
    const json::object* object = element.if_object();
    const json::string* type = object == nullptr ? nullptr : FindString(*object, "type");
    const json::string* text = object == nullptr ? nullptr : FindString(*object, "value");
    if (type == nullptr || text == nullptr || object->size() != 2) {
      return Wrong(expected);
    }
    auto selector = Selector::FromParts(View(*type), View(*text));
    if (!selector.ok()) {
      return std::move(selector).error();
    }
    auto& added = *entry.add_selectors();
    added.set_type(selector->type);
    added.set_value(selector->value);
  }
  return Ok();
}

Result<void> ReadFederation(const json::value& value, Entry& entry) {
  auto texts = ReadTexts(value);
  if (!texts.ok()) {
    return std::move(texts).error();
  }
  for (const std::string& text : *texts) {
    auto name = WireTrustDomain("not a trust domain", text);
    if (!name.ok()) {
      return std::move(name).error();
    }
    entry.add_federates_with(*std::move(name));
  }
  return Ok();
}

/// Reads each member of `object` by the reader of its name.
Result<void> ReadMembers(const json::object& object,
                         const Member* first,
                         const Member* last,
                         Entry& entry) {
  std::set<std::string, std::less<>> seen;
  for (const auto& member : object) {
    const std::string_view name{member.key().data(), member.key().size()};
    std::string folded = FoldedName(name);
    const Member* known =
        std::find_if(first, last, [&](const Member& m) { return m.folded_name == folded; });
    if (known == last) {
      return Wrong(fmt::format("{} is no member of an entry", Quoted(name)));
    }
    if (!seen.insert(std::move(folded)).second) {
      return Wrong(fmt::format("{} is there twice, in two spellings", Quoted(name)));
    }
    if (member.value().is_null()) {
      continue;
    }
    if (auto read = known->read(member.value(), entry); !read.ok()) {
      return std::move(read).error().Wrap(Printable(name));
    }
  }
  return Ok();
}

constexpr Member kAdditionalAttributes[] = {
    {"disablex509svidprefetch",
     [](const json::value& value, Entry& entry) {
       return Store(ReadBool(value), [&](bool flag) {
         entry.mutable_additional_attributes()->set_disable_x509_svid_prefetch(flag);
       });
     }},
    {"jwtsvidincludejti",
     [](const json::value& value, Entry& entry) {
       return Store(ReadBool(value), [&](bool flag) {
         entry.mutable_additional_attributes()->set_jwt_svid_include_jti(flag);
       });
     }},
};

Result<void> ReadAdditionalAttributes(const json::value& value, Entry& entry) {
  const json::object* object = value.if_object();
  if (object == nullptr) {
    return Wrong("expected an object");
  }
  return ReadMembers(
      *object, std::begin(kAdditionalAttributes), std::end(kAdditionalAttributes), entry);
}

/// What the server decides; files that were exported have it.
Result<void> PassOver(const json::value& /*value*/, Entry& /*entry*/) {
  return Ok();
}

constexpr Member kMembers[] = {
    {"entryid",
     [](const json::value& value, Entry& entry) {
       return Store(ReadText(value), [&](std::string text) { entry.set_id(std::move(text)); });
     }},
    {"spiffeid",
     [](const json::value& value, Entry& entry) {
       return Store(ReadId(value), [&](const auto& id) { *entry.mutable_spiffe_id() = id; });
     }},
    {"parentid",
     [](const json::value& value, Entry& entry) {
       return Store(ReadId(value), [&](const auto& id) { *entry.mutable_parent_id() = id; });
     }},
    {"selectors", ReadSelectors},
    {"x509svidttl",
     [](const json::value& value, Entry& entry) {
       return Store(ReadTtl(value), [&](std::int32_t ttl) { entry.set_x509_svid_ttl(ttl); });
     }},
    {"jwtsvidttl",
     [](const json::value& value, Entry& entry) {
       return Store(ReadTtl(value), [&](std::int32_t ttl) { entry.set_jwt_svid_ttl(ttl); });
     }},
    {"federateswith", ReadFederation},
    {"admin",
     [](const json::value& value, Entry& entry) {
       return Store(ReadBool(value), [&](bool flag) { entry.set_admin(flag); });
     }},
    {"downstream",
     [](const json::value& value, Entry& entry) {
       return Store(ReadBool(value), [&](bool flag) { entry.set_downstream(flag); });
     }},
    {"entryexpiry",
     [](const json::value& value, Entry& entry) {
       return Store(ReadSeconds(value), [&](std::int64_t time) { entry.set_expires_at(time); });
     }},
    {"dnsnames",
     [](const json::value& value, Entry& entry) {
       return Store(ReadTexts(value), [&](const std::vector<std::string>& names) {
         entry.mutable_dns_names()->Assign(names.begin(), names.end());
       });
     }},
    {"storesvid",
     [](const json::value& value, Entry& entry) {
       return Store(ReadBool(value), [&](bool flag) { entry.set_store_svid(flag); });
     }},
    {"hint",
     [](const json::value& value, Entry& entry) {
       return Store(ReadText(value), [&](std::string text) { entry.set_hint(std::move(text)); });
     }},
    {"additionalattributes", ReadAdditionalAttributes},
    {"revisionnumber", PassOver},
    {"createdat", PassOver},
};

Result<Entry> ReadEntry(const json::value& value, EntryUse use) {
  const json::object* object = value.if_object();
  if (object == nullptr) {
    return Wrong("expected an object");
  }
  Entry entry;
  if (auto read = ReadMembers(*object, std::begin(kMembers), std::end(kMembers), entry);
      !read.ok()) {
    return std::move(read).error();
  }
  if (use == EntryUse::kUpdate && entry.id().empty()) {
    return Wrong("entry_id is missing: it names the entry to update");
  }
  if (!entry.has_spiffe_id()) {
    return Wrong("spiffe_id is missing");
  }
  if (entry.selectors().empty()) {
    return Wrong("selectors are missing");
  }
  if (!entry.has_parent_id()) {
    if (use == EntryUse::kUpdate) {
      return Wrong("parent_id is missing: an update replaces all of an entry");
    }
    *entry.mutable_parent_id() = DefaultParent(entry.spiffe_id());
  }
  return entry;
}

/// The list that is the one member `name` of the document.
Result<json::array> OnlyList(std::string_view text, std::string_view name) {
  auto document = ParseStrictJsonObject(text, kMaxEntryFileBytes);
  if (!document.ok()) {
    return std::move(document).error();
  }
  json::array* list = nullptr;
  for (auto& member : *document) {
    const std::string_view key{member.key().data(), member.key().size()};
    if (FoldedName(key) != name) {
      return Wrong(fmt::format("{} is not known here, only \"{}\"", Quoted(key), name));
    }
    list = member.value().if_array();
  }
  if (list != nullptr && document->size() == 1) {
    return std::move(*list);
  }
  return Wrong(fmt::format("expected {{\"{}\": [...]}}", name));
}

}  // namespace

Result<std::vector<spire::api::types::Entry>> ParseEntryFile(std::string_view text, EntryUse use) {
  const auto list = OnlyList(text, "entries");
  if (!list.ok()) {
    return list.error();
  }
  std::vector<spire::api::types::Entry> entries;
  for (const json::value& element : *list) {
    auto entry = ReadEntry(element, use);
    if (!entry.ok()) {
      return std::move(entry).error().Wrap(fmt::format("entry {}", entries.size() + 1));
    }
    entries.push_back(*std::move(entry));
  }
  return entries;
}

Result<std::vector<std::string>> ParseIdFile(std::string_view text) {
  const auto list = OnlyList(text, "ids");
  if (!list.ok()) {
    return list.error();
  }
  std::vector<std::string> ids;
  for (const json::value& element : *list) {
    auto id = ReadText(element);
    if (!id.ok() || id->empty()) {
      return Wrong(fmt::format("id {}: expected a text that is not empty", ids.size() + 1));
    }
    ids.push_back(*std::move(id));
  }
  return ids;
}

}  // namespace credence
