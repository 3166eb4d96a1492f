#include "agent/upstream/entry_sync.h"

#include <utility>

#include <fmt/format.h>

#include "agent/upstream/translate.h"

namespace credence {
namespace {

namespace entryv1 = spire::api::server::entry::v1;

/// Far beyond any agent; keeps a server gone wrong from filling the memory.
constexpr std::size_t kMaxEntries = 1'000'000;
constexpr std::size_t kMaxWarnings = 100;
/// Pages this large are asked for even if the first page was larger.
constexpr std::size_t kMaxPage = 5'000;

Error Protocol(std::string_view what) {
  return Error(Code::kInternal, fmt::format("SyncAuthorizedEntries: the server sent {}", what));
}

bool Stale(const RegistrationEntry& known, const entryv1::EntryRevision& revision) {
  // The same ID with another creation time was deleted and made again; old servers do not tell.
  const bool recreated = revision.created_at() != 0 && revision.created_at() != known.created_at;
  return recreated || revision.revision_number() != known.revision;
}

}  // namespace

EntrySync::EntrySync(SharedEntries known) : known_(std::move(known)) {}

entryv1::SyncAuthorizedEntriesRequest EntrySync::FirstRequest() {
  entryv1::SyncAuthorizedEntriesRequest request;
  auto* mask = request.mutable_output_mask();
  mask->set_spiffe_id(true);
  mask->set_selectors(true);
  mask->set_federates_with(true);
  mask->set_admin(true);
  mask->set_downstream(true);
  mask->set_revision_number(true);
  mask->set_store_svid(true);
  mask->set_hint(true);
  mask->set_created_at(true);
  mask->set_additional_attributes(true);
  return request;
}

Result<EntrySync::Action> EntrySync::Step(const Message& message) {
  if (!message.entry_revisions().empty() && !message.entries().empty()) {
    return Protocol("revisions and entries in one message");
  }
  switch (phase_) {
    case Phase::kFirst:
      return message.entry_revisions().empty() ? FullList(message) : Revisions(message);
    case Phase::kRevisions:
      return Revisions(message);
    case Phase::kEntries:
      return Entries(message);
    case Phase::kDone:
      break;
  }
  return Protocol("a message after the last one");
}

Result<EntrySync::Action> EntrySync::FullList(const Message& message) {
  if (message.more()) {
    return Protocol("a first message without revisions that is not the last one");
  }
  for (const auto& entry : message.entries()) {
    Accept(entry);
  }
  phase_ = Phase::kDone;
  return Action(Done());
}

Result<EntrySync::Action> EntrySync::Revisions(const Message& message) {
  if (!message.entries().empty()) {
    return Protocol("entries among the revisions");
  }
  if (phase_ == Phase::kFirst) {
    page_size_ = std::min(static_cast<std::size_t>(message.entry_revisions_size()), kMaxPage);
    phase_ = Phase::kRevisions;
  }
  revisions_ += static_cast<std::size_t>(message.entry_revisions_size());
  if (revisions_ > kMaxEntries) {
    return Error(Code::kOutOfRange,
                 fmt::format("the server lists more than {} entries", kMaxEntries));
  }
  for (const auto& revision : message.entry_revisions()) {
    NoteRevision(revision);
  }
  if (message.more()) {
    return Action(ReadMore());
  }
  phase_ = Phase::kEntries;
  return AskOrFinish();
}

void EntrySync::NoteRevision(const entryv1::EntryRevision& revision) {
  if (revision.id().empty() || revision.revision_number() < 0) {
    return;
  }
  const auto known = known_->find(revision.id());
  if (known == known_->end() || Stale(known->second, revision)) {
    wanted_.insert(revision.id());
  } else {
    next_.insert(*known);
  }
}

EntrySync::Action EntrySync::AskOrFinish() {
  if (wanted_.empty()) {
    phase_ = Phase::kDone;
    return Done();
  }
  Request request;
  while (!wanted_.empty() && request.ids.size() < page_size_) {
    request.ids.push_back(std::move(wanted_.extract(wanted_.begin()).value()));
  }
  return request;
}

Result<EntrySync::Action> EntrySync::Entries(const Message& message) {
  if (!message.entry_revisions().empty()) {
    return Protocol("revisions among the entries");
  }
  if (next_.size() + static_cast<std::size_t>(message.entries_size()) > kMaxEntries) {
    return Error(Code::kOutOfRange,
                 fmt::format("the server sent more than {} entries", kMaxEntries));
  }
  for (const auto& entry : message.entries()) {
    Accept(entry);
  }
  if (message.more()) {
    return Action(ReadMore());
  }
  return AskOrFinish();
}

void EntrySync::Accept(const spire::api::types::Entry& entry) {
  auto translated = EntryFromServer(entry);
  if (translated.ok()) {
    ++result_.received;
    next_.insert_or_assign(entry.id(), *std::move(translated));
    return;
  }
  if (result_.warnings.size() < kMaxWarnings) {
    result_.warnings.push_back(
        fmt::format("entry {}: {}", entry.id(), translated.error().message()));
  }
}

EntrySyncResult EntrySync::Take() {
  CREDENCE_CHECK(phase_ == Phase::kDone);
  for (const auto& [id, entry] : *known_) {
    result_.dropped += next_.contains(id) ? 0U : 1U;
  }
  // Full lists repeat what is known: equal content keeps the old object.
  result_.entries = next_ == *known_ ? known_ : std::make_shared<const EntryMap>(std::move(next_));
  return std::move(result_);
}

}  // namespace credence
