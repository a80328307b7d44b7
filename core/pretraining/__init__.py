"""How the bundled backbone is made: images drawn by arithmetic, a network that must tell what was drawn, and a test of use.

    python -m core.pretraining --out thaw-small.safetensors

No image of anybody is involved. `scenes` puts `things` before `textures`, `glyphs` are written and `cells` stained;
`lessons` mixes them and knows what is asked, `views` shows each twice, `learn` trains, `probe` measures on images that were
never drawn here. Nothing else in Thaw imports this package.
"""
