#!/usr/bin/env python3
"""Judges YAML edits with PyYAML, knowing nothing of the editor.

Reads JSON lines {"old": text, "operations": [...], "new": text} and checks of each, by PyYAML's tokens and marks, that
  - the new text means what the operations make of the old one (types as PyYAML, YAML 1.1, resolves them),
  - bytes differ only between the tokens that an operation may touch,
  - no comment, anchor, byte order mark, line end or final newline is lost or gained elsewhere.
Prints {"checked": n, "unread": n, "wrong": [...]}; `unread` counts old texts that PyYAML itself cannot read. Fails when anything is wrong.

An operation is {"op": "set" | "insert" | "append" | "remove", "document": n, "path": [key or index, ...], "value": any, "key": text},
with "inner": {"document": n, "path": [...]} when it goes into the text of the scalar at `path`.
"""

import bisect
import functools
import json
import re
import sys

import yaml

EMPTY_TOKENS = (yaml.StreamStartToken, yaml.StreamEndToken, yaml.BlockMappingStartToken, yaml.BlockSequenceStartToken, yaml.BlockEndToken, yaml.KeyToken)


class Wrong(Exception):
    pass


class Unread(Exception):
    pass


class Text:
    """A text, its documents as node trees, and where its tokens are."""

    def __init__(self, text):
        self.text = text
        try:
            self.roots = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
            tokens = list(yaml.scan(text, Loader=yaml.SafeLoader))
        except yaml.YAMLError as error:
            raise Unread(str(error)) from error
        real = [token for token in tokens if not isinstance(token, EMPTY_TOKENS) and token.end_mark.index > token.start_mark.index]
        self.tokens = [(token.start_mark.index, self.end(token), token) for token in real]
        self.starts = [start for start, _, _ in self.tokens]
        self.anchors = [token.value for token in real if isinstance(token, yaml.AnchorToken)]

    def end(self, token_or_node):
        """Where something ends; without the blank lines and comments that PyYAML counts in."""
        start, end = token_or_node.start_mark.index, token_or_node.end_mark.index
        return max(start, len(self.text[:end].rstrip(" \t\r\n")))

    def next(self, at):
        """Where the next token starts."""
        index = bisect.bisect_left(self.starts, at)
        return self.starts[index] if index < len(self.starts) else len(self.text)

    def previous(self, at):
        """Where the token before ends."""
        index = bisect.bisect_left(self.starts, at) - 1
        return self.tokens[index][1] if index >= 0 else 0

    def comments(self):
        """(offset, comment) of each comment: what has a `#` between tokens, or beside the indicator of a block scalar."""
        found = []
        last = 0
        for start, end, token in self.tokens + [(len(self.text), len(self.text), None)]:
            found += [(last + match.start(), match.group()) for match in re.finditer(r"#[^\r\n]*", self.text[last:start])]
            if isinstance(token, yaml.ScalarToken) and token.style in ("|", ">"):
                header = re.match(r"[|>][-+0-9]*[ \t]+(#[^\r\n]*)", self.text[start:])
                if header:
                    found.append((start + header.start(1), header.group(1)))
            last = end
        return found


@functools.lru_cache(maxsize=4)
def read(text):
    """Texts are often edited several times in a row."""
    return Text(text)


def model(node):
    if node is None:
        return ("tag:yaml.org,2002:null", "")
    if isinstance(node, yaml.MappingNode):
        return {"map": [(model(key), model(value)) for key, value in node.value]}
    if isinstance(node, yaml.SequenceNode):
        return [model(item) for item in node.value]
    value = "" if node.tag.endswith(":null") else node.value
    return (node.tag, value)


def planned(value):
    """The model of a value that an operation brings."""
    if isinstance(value, bool):
        return ("tag:yaml.org,2002:bool", "true" if value else "false")
    if isinstance(value, int):
        return ("tag:yaml.org,2002:int", str(value))
    if isinstance(value, str):
        return ("tag:yaml.org,2002:str", value)
    if isinstance(value, list):
        return [planned(item) for item in value]
    return {"map": [(planned(key), planned(item)) for key, item in value.items()]}


def is_null(it):
    return isinstance(it, tuple) and it[0].endswith(":null")


def key_index(entries, key):
    return next(index for index, (it, _) in enumerate(entries) if isinstance(it, tuple) and it[1] == key)


def model_at(root, path):
    """What holds the place at a path, and where in it."""
    holder, slot = [root], 0
    for step in path:
        it = holder[slot]
        if isinstance(step, int):
            holder, slot = it, step
        else:
            holder, slot = it["map"][key_index(it["map"], step)], 1
    return holder, slot


def apply(roots, operations):
    roots = list(roots)
    gone = []
    for operation in operations:
        document, path = operation["document"], operation["path"]
        wrapper = roots[document]
        holder, slot = model_at(wrapper, path) if path else (roots, document)
        it = holder[slot]
        if operation["op"] == "set":
            holder[slot] = thaw(planned(operation["value"]))
        elif operation["op"] == "insert":
            if is_null(it):
                holder[slot] = it = {"map": []}
            it["map"].append([planned(operation["key"]), thaw(planned(operation["value"]))])
        elif operation["op"] == "append":
            if is_null(it):
                holder[slot] = it = []
            it.append(thaw(planned(operation["value"])))
        else:
            above, above_slot = model_at(wrapper, path[:-1]) if path[:-1] else (roots, document)
            container = above[above_slot]
            entries = container["map"] if isinstance(container, dict) else container
            index = path[-1] if isinstance(path[-1], int) else key_index(entries, path[-1])
            gone.append((entries, entries[index]))
    for entries, it in gone:
        position = next(index for index, other in enumerate(entries) if other is it)
        del entries[position]
    return roots


def thaw(it):
    """Lists instead of tuples for entries, so that they can be changed in place and compared."""
    if isinstance(it, dict):
        return {"map": [[thaw(key), thaw(value)] for key, value in it["map"]]}
    if isinstance(it, list):
        return [thaw(item) for item in it]
    return it


def node_at(root, path):
    node = root
    for step in path:
        if isinstance(step, int):
            node = node.value[step]
        else:
            node = next(value for key, value in node.value if key.value == step)
    return node


def gone_before(operations, document, path, index):
    """How many items before one are removed from a sequence."""
    removed = [it["path"] for it in operations if it["op"] == "remove" and it["document"] == document]
    return sum(1 for it in removed if it[:-1] == path and isinstance(it[-1], int) and it[-1] < index)


def last_leaf(node):
    while isinstance(node, yaml.CollectionNode) and not node.flow_style and node.value:
        node = node.value[-1][1] if isinstance(node, yaml.MappingNode) else node.value[-1]
    return node


def window(old, operation):
    """(from, to, pure): the old text that an operation may touch, and whether it may only add there."""
    root, path = old.roots[operation["document"]], operation["path"]
    node = node_at(root, path)
    if operation["op"] == "set":
        if node.start_mark.index == node.end_mark.index:
            return node.start_mark.index, node.start_mark.index, True
        if node.style in ("|", ">"):
            return old.previous(node.start_mark.index), old.next(node.end_mark.index), False
        return node.start_mark.index, node.end_mark.index, False
    if operation["op"] == "remove":
        holder = node_at(root, path[:-1])
        pair = next((pair for pair in holder.value if isinstance(pair, tuple) and pair[1] is node), None)
        start = pair[0].start_mark.index if pair else node.start_mark.index
        end = max(start, old.end(last_leaf(node)))
        low, high = old.previous(start), old.next(end)
        if not pair and not holder.flow_style:
            low = old.previous(low - 1)
        if old.text[high : high + 1] == ",":
            high = old.next(high + 1)
        if old.text[low - 1 : low] == ",":
            low = old.previous(low - 1)
        if len(holder.value) == 1 and not holder.flow_style:
            low = old.previous(old.previous(start) - 1) if pair and old.text[old.previous(start) - 1 : old.previous(start)] == "-" else low
        return min(low, start), high, False
    if isinstance(node, yaml.ScalarNode):
        end = node.end_mark.index
        return node.start_mark.index, end if end > node.start_mark.index else old.next(end), end == node.start_mark.index
    leaf = last_leaf(node)
    if leaf is node:
        last = leaf.value[-1] if leaf.value else None
        low = node.start_mark.index + 1 if last is None else old.end(last[1] if isinstance(last, tuple) else last)
        return low, node.end_mark.index - 1, True
    end = max(leaf.start_mark.index, old.end(leaf))
    if getattr(leaf, "style", None) in ("|", ">"):
        unended = old.next(end) == len(old.text) and not old.text.endswith(("\n", "\r"))
        return (leaf.start_mark.index if unended else end), old.next(max(end, leaf.end_mark.index)), not unended
    return end, old.next(end), True


def is_subsequence(part, whole):
    at = 0
    for it in part:
        at = whole.find(it, at) + 1
        if at == 0:
            return False
    return True


def check_bytes(old, new, windows):
    merged = []
    for low, high, pure in sorted(windows):
        if merged and low <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], high), merged[-1][2] and pure)
        else:
            merged.append((low, high, pure))
    kept = [old.text[before[1] : after[0]] for before, after in zip([(0, 0)] + merged, merged + [(len(old.text), 0)])]
    if not new.text.startswith(kept[0]):
        raise Wrong(f"bytes changed at the start: {kept[0]!r}")
    # What is kept may occur by chance in what is new: every place is tried.
    reached = {len(kept[0])}
    for index, (low, high, pure) in enumerate(merged):
        part, last = kept[index + 1], index + 1 == len(merged)
        following = set()
        for at in reached:
            starts = [len(new.text) - len(part)] if last else [match.start() for match in re.finditer(f"(?={re.escape(part)})", new.text[at:])]
            for start in starts if last else [at + start for start in starts]:
                if start >= at and new.text.startswith(part, start) and (not pure or is_subsequence(old.text[low:high], new.text[at:start])):
                    following.add(start + len(part))
        if not following:
            raise Wrong(f"bytes changed at or after {low}..{high}: {old.text[low:high]!r}, {part!r}")
        reached = following


def breaks(text):
    return set(re.findall(r"\r\n|\n|\r", text))


def check(old_text, operations, new_text):
    old = read(old_text)
    try:
        new = Text(new_text)
    except Unread as error:
        raise Wrong(f"the new text is not YAML: {error}") from error
    outer = [operation for operation in operations if "inner" not in operation]
    held = {}
    for operation in operations:
        if "inner" in operation:
            place = (operation["document"], json.dumps(operation["path"]))
            held.setdefault(place, []).append({**operation, **operation["inner"]})
    windows = [window(old, operation) for operation in outer]
    old_model = [thaw(model(root)) for root in old.roots]
    new_model = [thaw(model(root)) for root in new.roots]
    for (document, path), inner in held.items():
        path = json.loads(path)
        moved = [step - gone_before(outer, document, path[:index], step) if isinstance(step, int) else step for index, step in enumerate(path)]
        before, after = node_at(old.roots[document], path), node_at(new.roots[document], moved)
        if before.style != after.style:
            raise Wrong("the style of the held text changed")
        for operation in inner:
            operation.pop("inner")
        check(before.value, inner, after.value)
        windows.append((before.start_mark.index, old.next(before.end_mark.index) if before.style in ("|", ">") else before.end_mark.index, False))
        holder, slot = model_at(old_model[document], path)
        holder[slot] = thaw(model(after))
    if apply(old_model, outer) != new_model:
        raise Wrong("the new text does not mean what was planned")
    check_bytes(old, new, windows)
    lost = [(low, high) for (low, high, _), operation in zip(windows, outer) if operation["op"] == "remove"]
    may_go = [text for at, text in old.comments() if any(low <= at <= high for low, high in lost)]
    before, after = [text for _, text in old.comments()], [text for _, text in new.comments()]
    if not held and after != before:
        rest = list(after)
        for comment in before:
            if rest and rest[0] == comment:
                rest.pop(0)
            elif comment not in may_go:
                raise Wrong(f"the comment {comment!r} is lost or moved")
        if rest:
            raise Wrong(f"comments were made: {rest}")
    if not lost and old.anchors != new.anchors:
        raise Wrong("anchors changed")
    if old_text.startswith("\ufeff") != new_text.startswith("\ufeff"):
        raise Wrong("the byte order mark changed")
    old_breaks, new_breaks = breaks(old_text), breaks(new_text)
    if not new_breaks <= (old_breaks or {"\n"}):
        raise Wrong(f"line ends {new_breaks} in a text of {old_breaks}")
    if not any(it["op"] == "remove" for it in operations) and bool(re.search(r"[\r\n]\Z", old_text)) != bool(re.search(r"[\r\n]\Z", new_text)):
        raise Wrong("the final newline changed")


def main():
    checked = unread = 0
    wrong = []
    for line in sys.stdin:
        case = json.loads(line)
        try:
            check(case["old"], case["operations"], case["new"])
            checked += 1
        except Unread as error:
            unread += 1
            if len(sys.argv) > 1:
                print(error, repr(case["old"]), file=sys.stderr)
        except (Wrong, LookupError, StopIteration) as error:
            wrong.append({"why": repr(error), **case})
    print(json.dumps({"checked": checked, "unread": unread, "wrong": wrong}))
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
