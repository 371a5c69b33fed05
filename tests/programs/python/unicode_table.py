import unicodedata

samples = ["é", "ß", "Ω", "中", "🐍", "👩‍🔬", "ﷺ", "e\u0301"]
for text in samples:
    names = ", ".join(unicodedata.name(character, "?") for character in text)
    print(f"{text}\t{len(text)}\t{len(text.encode())}\t{names}")
größe = {"naïve": "café", "日本語": "にほんご"}
print(größe)
print("equal after NFC:", unicodedata.normalize("NFC", "e\u0301") == "é")
