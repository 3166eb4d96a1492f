#pragma once

#include <memory>
#include <string>
#include <vector>

#include "agent/authority/services/entry_set.h"
#include "base/spiffe/selector.h"

namespace credence {

/// An entry of example.org.
inline StoredEntry EntryOf(const std::string& id,
                           const std::string& path,
                           const std::string& parent_path,
                           const std::vector<std::string>& selectors = {"unix:uid:1"}) {
  auto entry = std::make_shared<spire::api::types::Entry>();
  entry->set_id(id);
  entry->mutable_spiffe_id()->set_trust_domain("example.org");
  entry->mutable_spiffe_id()->set_path(path);
  entry->mutable_parent_id()->set_trust_domain("example.org");
  entry->mutable_parent_id()->set_path(parent_path);
  for (const std::string& text : selectors) {
    const auto selector = Selector::Parse(text).value();
    entry->add_selectors()->set_type(selector.type);
    entry->mutable_selectors()->rbegin()->set_value(selector.value);
  }
  return entry;
}

}  // namespace credence
