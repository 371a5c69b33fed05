from IPython.display import HTML, JSON, Markdown, display

display(Markdown("# Results\n\n- **fast**\n- *small*"))
display(HTML("<table><tr><td>1</td><td>2</td></tr></table>"))
display(JSON({"answer": 42}))


class Card:
    def __repr__(self):
        return "Card(7)"

    def _repr_html_(self):
        return "<div class='card'>7</div>"


Card()
