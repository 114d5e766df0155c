"""Bar charts as SVG, readable on a light and on a dark page."""

from html import escape

COLOURS = {"nginx": "#4c9f70", "haproxy": "#4f7cac", "envoy": "#a26ea1", "hormesis": "#e07a2f"}
NAMES = {"nginx": "nginx", "haproxy": "HAProxy", "envoy": "Envoy", "hormesis": "hormesis"}
WIDTH, LEFT, BAR, GAP = 760, 230, 14, 22
# A bar beyond so many times the best peer is cut, and says its figure.
MOST = 3.0

STYLE = """text { font: 13px system-ui, sans-serif; fill: #1f2328 }
.small { font-size: 11px; fill: #59636e } .halo { fill: none; stroke: #fff; stroke-width: 4px } .title { font-size: 15px; font-weight: 600 }
line { stroke: #8c959f; stroke-dasharray: 3 3 }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #9198a1 } .halo { fill: none; stroke: #0d1117 } line { stroke: #6e7681 }
}"""


def plot(title, groups):
    """`groups`: (title, unit, [(who, value, ratio to the best peer)])."""
    scale = (WIDTH - LEFT - 122) / MOST
    y, parts = 58, []
    for name, unit, bars in groups:
        parts.append(f'<text x="{LEFT - 12}" y="{y + 11}" text-anchor="end">{escape(name.replace("`", ""))}</text>')
        parts.append(f'<text x="{LEFT - 12}" y="{y + 26}" text-anchor="end" class="small">{escape(unit)}</text>')
        for who, value, ratio in bars:
            family = who.partition("/")[0]
            width = min(ratio, MOST) * scale
            parts.append(f'<rect x="{LEFT}" y="{y}" width="{width:.1f}" height="{BAR - 2}" rx="2" fill="{COLOURS[family]}"/>')
            text = f"{NAMES[family]} {value:.3g}" + (f" ({ratio:.1f} ×)" if ratio > MOST else "")
            # Over the line of the best peer: twice, since not every renderer knows `paint-order`.
            for kind in ("small halo", "small"):
                parts.append(f'<text x="{LEFT + width + 6:.1f}" y="{y + 10}" class="{kind}">{text}</text>')
            y += BAR
        y += GAP
    best = LEFT + scale
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" role="img" aria-label="{escape(title)}">',
        f"<style>{STYLE}</style>",
        f'<text x="16" y="26" class="title">{escape(title)}</text>',
        f'<text x="{best:.1f}" y="46" text-anchor="middle" class="small">best peer = 1; less is better</text>',
        f'<line x1="{best:.1f}" y1="56" x2="{best:.1f}" y2="{y - 12}"/>',
    ]
    return "\n".join([*head, *parts, "</svg>"]) + "\n"
