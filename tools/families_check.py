def check(folder, tokens, logits, config):
    pass
