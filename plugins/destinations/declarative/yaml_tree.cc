#include "plugins/destinations/declarative/yaml_tree.h"

#include <algorithm>
#include <optional>
#include <sstream>
#include <utility>

#include <fmt/format.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

namespace credence {
namespace {

constexpr std::size_t kMaxBytes = std::size_t{256} << 10;
constexpr std::size_t kMaxDepth = 16;
constexpr std::size_t kMaxNodes = 10'000;

Error At(int line, int column, std::string_view message) {
  return Error(Code::kInvalidArgument, fmt::format("{}:{}: {}", line, column, message));
}

/// Builds the tree from events. After the first mistake it ignores the rest, because it cannot stop
/// the parser.
class TreeBuilder final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark& /*mark*/) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    Add(NewNode(mark, YamlNode::Kind::kNull), mark, "?", anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t /*anchor*/) override {
    Fail(mark, "aliases are not allowed");
  }

  void OnScalar(const YAML::Mark& mark,
                const std::string& tag,
                YAML::anchor_t anchor,
                const std::string& value) override {
    YamlNode node = NewNode(mark, YamlNode::Kind::kScalar);
    node.text = value;
    node.quoted = tag == "!";
    Add(std::move(node), mark, tag, anchor);
  }

  void OnSequenceStart(const YAML::Mark& mark,
                       const std::string& tag,
                       YAML::anchor_t anchor,
                       YAML::EmitterStyle::value /*style*/) override {
    Open(NewNode(mark, YamlNode::Kind::kSequence), mark, tag, anchor);
  }
  void OnSequenceEnd() override { Close(); }

  void OnMapStart(const YAML::Mark& mark,
                  const std::string& tag,
                  YAML::anchor_t anchor,
                  YAML::EmitterStyle::value /*style*/) override {
    Open(NewNode(mark, YamlNode::Kind::kMap), mark, tag, anchor);
  }
  void OnMapEnd() override { Close(); }

  Result<YamlNode> Take() {
    if (failure_.has_value()) {
      return *std::move(failure_);
    }
    return std::move(root_);
  }

 private:
  struct Frame {
    YamlNode node;
    std::optional<YamlNode> key;
  };

  static YamlNode NewNode(const YAML::Mark& mark, YamlNode::Kind kind) {
    YamlNode node;
    node.kind = kind;
    node.line = mark.line + 1;
    node.column = mark.column + 1;
    return node;
  }

  void Fail(const YAML::Mark& mark, std::string_view message) {
    if (!failure_.has_value()) {
      failure_ = At(mark.line + 1, mark.column + 1, message);
    }
  }

  bool Check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) {
      Fail(mark, "anchors are not allowed");
    } else if (!tag.empty() && tag != "?" && tag != "!") {
      Fail(mark, "tags are not allowed");
    } else if (++nodes_ > kMaxNodes) {
      Fail(mark, fmt::format("more than {} values", kMaxNodes));
    }
    return !failure_.has_value();
  }

  void Open(YamlNode node, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (!Check(mark, tag, anchor)) {
      return;
    }
    if (stack_.size() >= kMaxDepth) {
      Fail(mark, fmt::format("nested deeper than {} levels", kMaxDepth));
      return;
    }
    if (ExpectsKey()) {
      Fail(mark, "a key has to be plain text");
      return;
    }
    stack_.push_back(Frame{std::move(node), std::nullopt});
  }

  void Close() {
    if (failure_.has_value() || stack_.empty()) {
      return;
    }
    YamlNode node = std::move(stack_.back().node);
    stack_.pop_back();
    Place(std::move(node));
  }

  void Add(YamlNode node, const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (!Check(mark, tag, anchor)) {
      return;
    }
    if (!ExpectsKey()) {
      Place(std::move(node));
      return;
    }
    Frame& frame = stack_.back();
    if (node.kind != YamlNode::Kind::kScalar) {
      Fail(mark, "a key has to be plain text");
      return;
    }
    const bool repeated = std::any_of(
        frame.node.entries.begin(), frame.node.entries.end(), [&](const YamlEntry& entry) {
          return entry.key.text == node.text;
        });
    if (repeated) {
      Fail(mark, "this key is there twice");
      return;
    }
    frame.key = std::move(node);
  }

  bool ExpectsKey() const {
    return !stack_.empty() && stack_.back().node.kind == YamlNode::Kind::kMap &&
           !stack_.back().key.has_value();
  }

  void Place(YamlNode node) {
    if (stack_.empty()) {
      root_ = std::move(node);
      return;
    }
    Frame& frame = stack_.back();
    if (frame.node.kind == YamlNode::Kind::kSequence) {
      frame.node.items.push_back(std::move(node));
      return;
    }
    frame.node.entries.push_back(
        YamlEntry{*std::exchange(frame.key, std::nullopt), std::move(node)});
  }

  std::vector<Frame> stack_;
  YamlNode root_;
  std::optional<Error> failure_;
  std::size_t nodes_ = 0;
};

}  // namespace

Result<YamlNode> ParseYaml(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return At(1, 1, fmt::format("longer than {} bytes", kMaxBytes));
  }
  try {
    std::istringstream input{std::string(text)};
    YAML::Parser parser(input);
    TreeBuilder builder;
    if (!parser.HandleNextDocument(builder)) {
      return At(1, 1, "the file is empty");
    }
    TreeBuilder second;
    if (parser.HandleNextDocument(second)) {
      return At(1, 1, "only one YAML document is allowed");
    }
    return builder.Take();
  } catch (const YAML::Exception& problem) {
    return At(problem.mark.line + 1, problem.mark.column + 1, problem.msg);
  }
}

}  // namespace credence
