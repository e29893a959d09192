from facequery.assets import asset
from facequery.cli import main
from facequery.models.weights import headline, load_weights


def test_models_lists_what_ships_with_cost_licence_and_figures(capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "240")
    try:
        main(["models"])
    except SystemExit as end:
        assert end.code in (0, None)
    text = capsys.readouterr().out
    for path in asset("weights").glob("*.safetensors"):
        state, card = load_weights(path)
        parameters = sum(value.numel() for value in state.values())
        assert path.stem in text and f"{parameters / 1e6:.2f} M" in text and f"{card['gmacs']:.2f}" in text
        assert card["licence"] in text and headline(card)[:20] in text


def test_a_card_without_figures_says_nothing():
    assert headline({"kind": "landmarks", "metrics": {}}) == "" and headline({"kind": "finder"}) == ""
