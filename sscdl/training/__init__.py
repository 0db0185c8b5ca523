"""The training loop and what it needs: networks, optimisers, devices, images, records."""
