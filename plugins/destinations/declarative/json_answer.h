#pragma once

#include <memory>
#include <optional>
#include <string_view>

#include <boost/json/value.hpp>

namespace credence {

/// A vendor's JSON answer, held in memory that is wiped.
class JsonAnswer {
 public:
  /// Nothing if `body` is no JSON object or is nested deeper than 16 levels.
  static std::optional<JsonAnswer> Parse(std::string_view body);

  ~JsonAnswer();
  JsonAnswer(JsonAnswer&& other) noexcept;
  JsonAnswer& operator=(JsonAnswer&& other) noexcept;

  /// What the JSON pointer names; null if it is not there or a JSON null.
  const boost::json::value* Find(std::string_view pointer) const;
  /// The text there; "" if it is no string.
  std::string_view FindText(std::string_view pointer) const;

 private:
  struct Document;

  explicit JsonAnswer(std::unique_ptr<Document> document);

  std::unique_ptr<Document> document_;
};

}  // namespace credence
