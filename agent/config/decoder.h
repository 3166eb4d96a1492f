#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "agent/config/agent_config.h"
#include "agent/config/document.h"

namespace credence {

/// Where a setting was made, for messages about it.
struct Place {
  Position at;
  /// Such as agent.server_port, or a flag such as -serverPort.
  std::string key;
};

/// A setting that was made, and where.
template <class T>
struct Setting {
  T value;
  Place place;
};

/// Gathers every mistake of one file and of the flags that go with it. Beyond kMost they are only
/// counted.
class Mistakes {
 public:
  static constexpr std::size_t kMost = 200;

  explicit Mistakes(std::string file) : file_(std::move(file)) {}

  void Add(const Place& place, std::string message);
  /// "is missing: expected ...", unless there is a mistake about the same key from `place` on
  /// already.
  void AddMissing(const Place& place, std::string_view expected);
  const std::string& file() const { return file_; }
  bool full() const { return mistakes_.size() >= kMost; }
  /// In the order of the file; those about the file as a whole and about flags last.
  std::vector<ConfigMistake> Take();

 private:
  std::string file_;
  std::vector<ConfigMistake> mistakes_;
  std::size_t dropped_ = 0;
};

/// How strictly kinds of values are told apart.
enum class Typing {
  /// As HCL 1 does for SPIRE: keys in any case, "80" is a number too, 80 a text, "true" a truth
  /// value; an empty text or duration is as good as none.
  kAsSpire,
  /// As written: an empty text is a text, and no duration.
  kExact,
};

/// A setting that SPIRE's agent has and this agent does not serve yet.
struct UnservedSetting {
  std::string_view key;
  /// The value that asks for nothing, apart from an empty one; nullopt if any use asks for
  /// something.
  std::optional<std::string_view> harmless;
};

/// Reads one object of a document: every getter takes a key, notes that it exists, and records a
/// mistake if the value is of another kind, in which case the setting counts as not made. Finish()
/// records the keys nobody asked for.
class Section {
 public:
  /// `value` must be an object and outlive the section. Keys are named `path` + "." + key in
  /// messages; no point after a path that is empty or ends with a blank.
  Section(const Value& value, std::string path, Typing typing, Mistakes& mistakes);

  Place place() const { return {at_, path_}; }
  Place PlaceOf(std::string_view key) const;
  /// The key as messages name it.
  std::string Name(std::string_view key) const;

  std::optional<Setting<std::string>> Text(std::string_view key);
  /// The same for a value that messages must not show.
  std::optional<Setting<std::string>> SecretText(std::string_view key);
  std::optional<Setting<bool>> Bool(std::string_view key);
  std::optional<Setting<std::int64_t>> Integer(std::string_view key,
                                               std::int64_t least,
                                               std::int64_t most);
  std::optional<Setting<std::chrono::milliseconds>> Duration(std::string_view key);
  /// Each item with its own place.
  std::optional<Setting<std::vector<Setting<std::string>>>> TextList(std::string_view key);
  /// The one object at `key`.
  std::optional<Section> Block(std::string_view key);
  /// All objects at `key`: a block may be repeated, or be a list of objects (JSON).
  std::vector<Section> Blocks(std::string_view key);
  /// The object or objects that `entry`, one of entries(), holds; no longer unknown.
  std::vector<Section> BlocksOf(const Entry& entry);
  const std::vector<Entry>& entries() const { return *entries_; }

  /// The value at `key`; repeats are a mistake.
  const Entry* Find(std::string_view key);
  /// Whether `key` is there, whatever its kind; it then is no longer unknown.
  bool Has(std::string_view key) { return Find(key) != nullptr; }
  void Unserved(const UnservedSetting& setting);
  /// Records a setting that must be there and is not.
  void Missing(std::string_view key, std::string_view expected);
  void Add(const Place& place, std::string message) { mistakes_->Add(place, std::move(message)); }

  /// Records unknown keys, with the nearest known one.
  void Finish();

 private:
  bool SameKey(std::string_view a, std::string_view b) const;
  void NoteKnown(std::string_view key);
  void WrongKind(const Entry& entry, std::string_view key, std::string_view expected);
  std::optional<Setting<std::string>> ReadText(std::string_view key, bool secret);

  const std::vector<Entry>* entries_;
  Position at_;
  std::string path_;
  Typing typing_;
  Mistakes* mistakes_;
  std::vector<std::string> known_;
  /// Repeats already recorded.
  std::vector<const Entry*> reported_;
};

/// A value for a message: cut, printable, quoted if it is a text.
std::string DescribeFound(const Value& value);
/// `text` in double quotes, cut to 60 bytes, with '?' for what does not print.
std::string Quoted(std::string_view text);
/// The same without quotes, for keys.
std::string Printable(std::string_view text);
/// "; did you mean "x"?" for the nearest of `candidates`, "" if none is near.
std::string DidYouMean(std::string_view word, const std::vector<std::string>& candidates);
/// "a, b or c".
std::string Alternatives(const std::vector<std::string>& words);

}  // namespace credence
