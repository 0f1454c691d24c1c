"""A page as the tests of the site read it."""

from html.parser import HTMLParser


class Page(HTMLParser):
    """What a page loads, where it leads, and the ids in it."""

    def __init__(self, html):
        super().__init__()
        self.html, self.ids, self.links, self.loads, self.words = html, set(), [], [], ""
        self.tags = []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        self.tags.append(tag)
        self.ids.add(attributes.get("id"))
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        self.loads += [attributes[name] for name in ("src", "srcset", "data") if name in attributes]
        if tag == "link":
            self.loads.append(attributes["href"])

    def handle_data(self, data):
        self.words += data
