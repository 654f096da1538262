"""Shards written: any dataset as WebDataset tar files with an index. `toolkit.audio.shards` reads them."""
